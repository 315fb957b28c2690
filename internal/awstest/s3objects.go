package awstest

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/xml"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

func (x *exchange) getObject(name string, b *bucket, key string) error {
	if err := x.allow("s3:GetObject", "arn:aws:s3:::"+name+"/"+key, b.owner); err != nil {
		return err
	}
	o, ok := b.objects[key]
	if !ok {
		return fault(http.StatusNotFound, "NoSuchKey", "The specified key does not exist.")
	}
	x.header.Set("Etag", o.etag)
	x.header.Set("Last-Modified", httpTime(o.modified))
	x.header.Set("Accept-Ranges", "bytes")
	status, body := http.StatusOK, o.body
	if r := x.rec.Header.Get("Range"); r != "" {
		from, to, err := byteRange(r, len(o.body))
		if err != nil {
			return err
		}
		status, body = http.StatusPartialContent, o.body[from:to]
		x.header.Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, to-1, len(o.body)))
	}
	x.header.Set("Content-Length", strconv.Itoa(len(body)))
	return x.raw(status, o.contentType, body)
}

// byteRange reads bytes=a-b, bytes=a- and bytes=-n.
func byteRange(r string, size int) (int, int, error) {
	bad := fault(http.StatusRequestedRangeNotSatisfiable, "InvalidRange", "The requested range is not satisfiable")
	first, last, ok := strings.Cut(strings.TrimPrefix(r, "bytes="), "-")
	if !ok {
		return 0, 0, bad
	}
	if first == "" {
		n, err := strconv.Atoi(last)
		if err != nil || n <= 0 || size == 0 {
			return 0, 0, bad
		}
		return max(0, size-n), size, nil
	}
	from, err := strconv.Atoi(first)
	if err != nil || from < 0 || from >= size {
		return 0, 0, bad
	}
	to := size
	if last != "" {
		n, err := strconv.Atoi(last)
		if err != nil || n < from {
			return 0, 0, bad
		}
		to = min(size, n+1)
	}
	return from, to, nil
}

func (x *exchange) putObject(name string, b *bucket, key string) error {
	if err := x.allow("s3:PutObject", "arn:aws:s3:::"+name+"/"+key, b.owner); err != nil {
		return err
	}
	if sum := x.rec.Header.Get("X-Amz-Checksum-Sha256"); sum != "" {
		is := sha256.Sum256(x.body)
		if sum != base64.StdEncoding.EncodeToString(is[:]) {
			return fault(http.StatusBadRequest, "BadDigest", "The SHA256 you specified did not match the calculated checksum.")
		}
		x.header.Set("X-Amz-Checksum-Sha256", sum)
	}
	if _, there := b.objects[key]; there && x.rec.Header.Get("If-None-Match") == "*" {
		return fault(http.StatusPreconditionFailed, "PreconditionFailed", "At least one of the pre-conditions you specified did not hold")
	}
	o := newObject(x.body, x.rec.Header.Get("Content-Type"), x.now())
	b.objects[key] = o
	x.header.Set("Etag", o.etag)
	return x.raw(http.StatusOK, "", nil)
}

func (x *exchange) copyObject(name string, b *bucket, key string) error {
	source := strings.TrimPrefix(x.rec.Header.Get("X-Amz-Copy-Source"), "/")
	source, _, _ = strings.Cut(source, "?")
	fromBucket, fromKey, _ := strings.Cut(unescape(source, false), "/")
	from, ok := x.data.buckets[fromBucket]
	if !ok {
		return fault(http.StatusNotFound, "NoSuchBucket", "The specified bucket does not exist")
	}
	if err := x.allow("s3:GetObject", "arn:aws:s3:::"+fromBucket+"/"+fromKey, from.owner); err != nil {
		return err
	}
	if err := x.allow("s3:PutObject", "arn:aws:s3:::"+name+"/"+key, b.owner); err != nil {
		return err
	}
	o, ok := from.objects[fromKey]
	if !ok {
		return fault(http.StatusNotFound, "NoSuchKey", "The specified key does not exist.")
	}
	dup := newObject(slices.Clone(o.body), o.contentType, x.now())
	b.objects[key] = dup
	return x.xml(http.StatusOK, struct {
		XMLName            xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ CopyObjectResult"`
		ETag, LastModified string
	}{ETag: dup.etag, LastModified: dup.modified.UTC().Format(s3Time)})
}

// multipart creates, fills, completes and aborts uploads. All of it is
// s3:PutObject but for the abort.
func (x *exchange) multipart(name string, b *bucket, key string) error {
	action := "s3:PutObject"
	if x.rec.Method == http.MethodDelete {
		action = "s3:AbortMultipartUpload"
	}
	if err := x.allow(action, "arn:aws:s3:::"+name+"/"+key, b.owner); err != nil {
		return err
	}
	if x.query.Has("uploads") && x.rec.Method == http.MethodPost {
		id := fmt.Sprintf("upload-%d", len(x.data.uploads)+1)
		x.data.uploads[id] = &upload{bucket: name, key: key, contentType: x.rec.Header.Get("Content-Type"), parts: map[int][]byte{}}
		return x.xml(http.StatusOK, struct {
			XMLName               xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ InitiateMultipartUploadResult"`
			Bucket, Key, UploadId string
		}{Bucket: name, Key: key, UploadId: id})
	}
	id := x.query.Get("uploadId")
	u := x.data.uploads[id]
	if u == nil || u.bucket != name || u.key != key {
		return fault(http.StatusNotFound, "NoSuchUpload", "The specified upload does not exist.")
	}
	switch x.rec.Method {
	case http.MethodPut:
		n, err := strconv.Atoi(x.query.Get("partNumber"))
		if err != nil || n < 1 || n > 10000 {
			return fault(http.StatusBadRequest, "InvalidArgument", "Part number must be an integer between 1 and 10000, inclusive")
		}
		u.parts[n] = x.body
		x.header.Set("Etag", newObject(x.body, "", x.now()).etag)
		return x.raw(http.StatusOK, "", nil)
	case http.MethodPost:
		return x.complete(b, u, id)
	case http.MethodDelete:
		delete(x.data.uploads, id)
		return x.raw(http.StatusNoContent, "", nil)
	}
	return fault(http.StatusMethodNotAllowed, "MethodNotAllowed", "The specified method is not allowed against this resource.")
}

func (x *exchange) complete(b *bucket, u *upload, id string) error {
	var in struct {
		Part []struct {
			PartNumber int
			ETag       string
		}
	}
	if err := xml.Unmarshal(x.body, &in); err != nil || len(in.Part) == 0 {
		return fault(http.StatusBadRequest, "MalformedXML", "The XML you provided was not well-formed or did not validate against our published schema")
	}
	var body []byte
	last := 0
	for _, p := range in.Part {
		part, ok := u.parts[p.PartNumber]
		if !ok || p.PartNumber <= last || strings.Trim(p.ETag, `"`) != strings.Trim(newObject(part, "", x.now()).etag, `"`) {
			return fault(http.StatusBadRequest, "InvalidPart", "One or more of the specified parts could not be found.")
		}
		last = p.PartNumber
		body = append(body, part...)
	}
	o := newObject(body, u.contentType, x.now())
	o.etag = strings.TrimSuffix(o.etag, `"`) + fmt.Sprintf(`-%d"`, len(in.Part))
	b.objects[u.key] = o
	delete(x.data.uploads, id)
	return x.xml(http.StatusOK, struct {
		XMLName           xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ CompleteMultipartUploadResult"`
		Bucket, Key, ETag string
	}{Bucket: u.bucket, Key: u.key, ETag: o.etag})
}
