package awstest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"math/big"
	"net/http"
)

// verifyECDSA checks a SigV4A signature, which is made with a key that both sides
// derive from the secret (AWS SDKs and Tools Reference, "SigV4A": NIST SP 800-108 in
// counter mode, then the method of FIPS 186-4, B.4.2).
func verifyECDSA(key *Key, toSign, signature string) error {
	pair, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), deriveECDSA(key.ID, key.Secret).FillBytes(make([]byte, 32)))
	if err != nil {
		return fault(http.StatusInternalServerError, "InternalFailure", err.Error())
	}
	sum := sha256.Sum256([]byte(toSign))
	sig, err := hex.DecodeString(signature)
	if err != nil || !ecdsa.VerifyASN1(&pair.PublicKey, sum[:], sig) {
		return fault(http.StatusForbidden, "SignatureDoesNotMatch", "The request signature we calculated does not match the signature you provided. Check your key and signing method.")
	}
	return nil
}

func deriveECDSA(id, secret string) *big.Int {
	two := big.NewInt(2)
	limit := new(big.Int).Sub(elliptic.P256().Params().N, two)
	for counter := byte(1); counter < 255; counter++ {
		var input []byte
		input = binary.BigEndian.AppendUint32(input, 1)
		input = append(input, ecdsaAlgorithm...)
		input = append(input, 0)
		input = append(input, id...)
		input = append(input, counter)
		input = binary.BigEndian.AppendUint32(input, 256)
		h := hmac.New(sha256.New, []byte("AWS4A"+secret))
		_, _ = h.Write(input)
		if c := new(big.Int).SetBytes(h.Sum(nil)); c.Cmp(limit) <= 0 {
			return c.Add(c, big.NewInt(1))
		}
	}
	return new(big.Int)
}
