package awstest

import (
	"bytes"
	"crypto/hmac"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// maxPreData is the most that may come before the file of a form.
const maxPreData = 20 << 10

// isForm reports a browser's form upload, which is signed in its fields.
func (x *exchange) isForm() bool {
	return x.rec.Method == http.MethodPost && strings.HasPrefix(x.rec.Header.Get("Content-Type"), "multipart/form-data")
}

// postObject is POST Object (Amazon S3 API Reference, "Browser-based uploads using
// POST"): it verifies the policy's signature, holds the form to the policy, stores the
// file and answers as the form asks.
func (x *exchange) postObject() error {
	x.service = "s3"
	for name := range x.rec.Header {
		if name == "Authorization" || strings.HasPrefix(name, "X-Amz-") {
			return fault(http.StatusBadRequest, "InvalidArgument", "a form is not signed in headers, and has none of S3's: "+name)
		}
	}
	var err error
	x.path, _, _ = strings.Cut(x.rec.Target, "?")
	bucketName, key, err := x.s3Names()
	if err != nil {
		return err
	}
	if key != "" || bucketName == "" || strings.Contains(x.rec.Target, "?") {
		return fault(http.StatusMethodNotAllowed, "MethodNotAllowed", "The specified method is not allowed against this resource.")
	}
	if err := x.readForm(); err != nil {
		return err
	}
	form := x.rec.Form
	if x.key, err = x.verifyForm(form); err != nil {
		return err
	}
	x.rec.KeyID = x.key.ID
	if err := checkPolicy(form, bucketName, int64(len(x.body)), x.now()); err != nil {
		return err
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	b, ok := x.data.buckets[bucketName]
	if !ok {
		return fault(http.StatusNotFound, "NoSuchBucket", "The specified bucket does not exist")
	}
	if x.key.stsOnly {
		return fault(http.StatusForbidden, "AccessDenied", "User: "+x.key.ARN+" may only call STS")
	}
	if err := x.allow("s3:PutObject", "arn:aws:s3:::"+bucketName+"/"+form["key"], b.owner); err != nil {
		return err
	}
	o := newObject(x.body, form["content-type"], x.now())
	b.objects[form["key"]] = o
	return x.answerForm(bucketName, o)
}

// readForm reads the form into rec.Form and body.
func (x *exchange) readForm() error {
	malformed := fault(http.StatusBadRequest, "MalformedPOSTRequest", "The body of your POST request is not well-formed multipart/form-data.")
	kind, params, err := mime.ParseMediaType(x.rec.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/form-data" {
		return malformed
	}
	r := multipart.NewReader(bytes.NewReader(x.body), params["boundary"])
	form, preData := map[string]string{}, 0
	for {
		p, err := r.NextRawPart()
		if errors.Is(err, io.EOF) {
			return fault(http.StatusBadRequest, "InvalidArgument", "POST requires exactly one file upload per request.")
		}
		if err != nil {
			return malformed
		}
		value, err := io.ReadAll(p)
		if err != nil {
			return malformed
		}
		name := strings.ToLower(p.FormName())
		if name == "file" {
			for k, v := range form {
				form[k] = strings.ReplaceAll(v, "${filename}", p.FileName())
			}
			x.rec.Form, x.body = form, value
			_, err = r.NextRawPart()
			if !errors.Is(err, io.EOF) { // fields behind the file are ignored by S3; nobody here sends any
				return malformed
			}
			return nil
		}
		if _, twice := form[name]; twice || name == "" {
			return malformed
		}
		form[name] = string(value)
		if preData += len(name) + len(value); preData > maxPreData {
			return fault(http.StatusBadRequest, "MaxPostPreDataLengthExceededError", "Your POST request fields preceding the upload file were too large.")
		}
	}
}

// verifyForm checks the signature, which is that of the policy as it is in the form.
func (s *Server) verifyForm(form map[string]string) (*Key, error) {
	credential := strings.Split(form["x-amz-credential"], "/")
	if form["x-amz-algorithm"] != hmacAlgorithm || len(credential) != 5 || credential[3] != "s3" || credential[4] != "aws4_request" || form["policy"] == "" {
		return nil, fault(http.StatusForbidden, "AccessDenied", "the form lacks a policy or part of its signature")
	}
	key, err := s.key(credential[0], http.Header{"X-Amz-Security-Token": {form["x-amz-security-token"]}})
	if err != nil {
		return nil, err
	}
	when, err := time.Parse("20060102T150405Z", form["x-amz-date"])
	if skew := s.now().Sub(when); err != nil || !strings.HasPrefix(form["x-amz-date"], credential[1]) || skew > maxSkew || skew < -maxSkew {
		return nil, fault(http.StatusForbidden, "AccessDenied", "x-amz-date is not about now, or not that of the scope")
	}
	k := []byte("AWS4" + key.Secret)
	for _, part := range append(credential[1:], form["policy"]) {
		k = mac(k, part)
	}
	if !hmac.Equal([]byte(hex.EncodeToString(k)), []byte(form["x-amz-signature"])) {
		return nil, &Error{Status: http.StatusForbidden, Code: "SignatureDoesNotMatch", Message: "The request signature we calculated does not match the signature you provided."}
	}
	return key, nil
}

// checkPolicy holds a form to its policy: each condition must be met, and each field
// must have one.
func checkPolicy(form map[string]string, bucket string, size int64, now time.Time) error {
	denied := func(why string) error {
		return fault(http.StatusForbidden, "AccessDenied", "Invalid according to Policy: "+why)
	}
	text, err := base64.StdEncoding.DecodeString(form["policy"])
	var policy struct {
		Expiration time.Time
		Conditions []any
	}
	if err == nil {
		err = json.Unmarshal(text, &policy)
	}
	if err != nil {
		return fault(http.StatusBadRequest, "InvalidPolicyDocument", "The content of the form does not meet the conditions specified in the policy document.")
	}
	if !now.Before(policy.Expiration) {
		return denied("Policy expired.")
	}
	covered := map[string]bool{"policy": true, "x-amz-signature": true}
	value := func(name string) string {
		covered[name] = true
		if name == "bucket" {
			return bucket
		}
		return form[name]
	}
	for _, c := range policy.Conditions {
		switch c := c.(type) {
		case map[string]any:
			for name, want := range c {
				if value(strings.ToLower(name)) != want {
					return denied("Policy Condition failed: " + name)
				}
			}
		case []any:
			if len(c) != 3 {
				return denied("a condition has not three parts")
			}
			if c[0] == "content-length-range" {
				from, _ := c[1].(float64)
				to, ok := c[2].(float64)
				if !ok || float64(size) < from || float64(size) > to {
					return fault(http.StatusBadRequest, "EntityTooLarge", "Your proposed upload is outside of the size that the policy allows")
				}
				continue
			}
			name, _ := c[1].(string)
			want, _ := c[2].(string)
			got := value(strings.ToLower(strings.TrimPrefix(name, "$")))
			if !strings.HasPrefix(name, "$") || c[0] != "eq" && c[0] != "starts-with" || c[0] == "eq" && got != want || !strings.HasPrefix(got, want) {
				return denied("Policy Condition failed: " + name)
			}
		default:
			return denied("a condition is neither an object nor a list")
		}
	}
	for name := range form {
		if !covered[name] && !strings.HasPrefix(name, "x-ignore-") {
			return denied("Extra input fields: " + name)
		}
	}
	return nil
}

// answerForm answers as success_action_redirect or success_action_status asks.
func (x *exchange) answerForm(bucket string, o *object) error {
	key := x.rec.Form["key"]
	location := "https://" + x.rec.Host + strings.TrimSuffix(x.path, "/") + "/" + strings.ReplaceAll(escape(key), "%2F", "/")
	x.header.Set("Etag", o.etag)
	x.header.Set("Location", location)
	if to, err := url.Parse(x.rec.Form["success_action_redirect"]); err == nil && to.Host != "" {
		q := to.Query()
		q.Set("bucket", bucket)
		q.Set("key", key)
		q.Set("etag", o.etag)
		to.RawQuery = q.Encode()
		x.header.Set("Location", to.String())
		return x.raw(http.StatusSeeOther, "", nil)
	}
	switch status, _ := strconv.Atoi(x.rec.Form["success_action_status"]); status {
	case http.StatusCreated:
		return x.xml(http.StatusCreated, struct {
			XMLName                     xml.Name `xml:"PostResponse"`
			Location, Bucket, Key, ETag string
		}{Location: location, Bucket: bucket, Key: key, ETag: o.etag})
	case http.StatusOK:
		return x.raw(http.StatusOK, "", nil)
	}
	return x.raw(http.StatusNoContent, "", nil)
}
