package awschunked

import (
	"crypto/sha1" //nolint:gosec // one of the checksums that S3 defines; nothing is authenticated by it
	"crypto/sha256"
	"hash"
	"hash/crc32"
	"hash/crc64"
)

// checksum is one of S3's (S3 User Guide, "Checking object integrity"). Its value
// is the big-endian sum in base64.
type checksum struct {
	size int              // of the sum, in bytes
	make func() hash.Hash // nil: only AWS checks it
}

// nvme is the polynomial of CRC-64/NVME, in the bit order of hash/crc64 (NVM
// Express NVM Command Set Specification 1.0, section 5.2.1.3.4).
const nvme = 0x9a6c9329ac4bc9b5

var (
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
	nvmeTable  = crc64.MakeTable(nvme)
)

// checksums are the trailers that may be announced, by name. No other trailer
// means anything to S3.
var checksums = map[string]checksum{
	"x-amz-checksum-crc32":     {4, func() hash.Hash { return crc32.NewIEEE() }},
	"x-amz-checksum-crc32c":    {4, func() hash.Hash { return crc32.New(castagnoli) }},
	"x-amz-checksum-crc64nvme": {8, func() hash.Hash { return crc64.New(nvmeTable) }},
	"x-amz-checksum-sha1":      {20, sha1.New},
	"x-amz-checksum-sha256":    {32, sha256.New},
	"x-amz-checksum-sha512":    {64, nil},
	"x-amz-checksum-md5":       {16, nil},
	"x-amz-checksum-xxhash64":  {8, nil},
	"x-amz-checksum-xxhash3":   {8, nil},
	"x-amz-checksum-xxhash128": {16, nil},
}
