package awstest

import (
	"encoding/xml"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

const s3Time = "2006-01-02T15:04:05.000Z"

// s3 routes by bucket, key, method and sub-resource. A query parameter that is
// not known is refused: it could be another operation.
func (x *exchange) s3() error {
	if err := x.dechunk(); err != nil {
		return err
	}
	bucketName, key, err := x.s3Names()
	if err != nil {
		return err
	}
	for name := range x.query {
		if !slices.Contains([]string{"x-id", "list-type", "prefix", "delimiter", "max-keys", "encoding-type", "continuation-token", "start-after", "fetch-owner", "uploads", "uploadId", "partNumber"}, name) {
			return fault(http.StatusNotImplemented, "NotImplemented", "the simulated S3 has no query parameter "+name)
		}
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if bucketName == "" {
		return x.listBuckets()
	}
	b, ok := x.data.buckets[bucketName]
	if !ok {
		return fault(http.StatusNotFound, "NoSuchBucket", "The specified bucket does not exist")
	}
	if key == "" {
		if x.rec.Method != http.MethodGet {
			return fault(http.StatusMethodNotAllowed, "MethodNotAllowed", "The specified method is not allowed against this resource.")
		}
		return x.listObjects(bucketName, b)
	}
	switch {
	case x.query.Has("uploads") || x.query.Has("uploadId"):
		return x.multipart(bucketName, b, key)
	case x.rec.Method == http.MethodGet || x.rec.Method == http.MethodHead:
		return x.getObject(bucketName, b, key)
	case x.rec.Method == http.MethodPut && x.rec.Header.Get("X-Amz-Copy-Source") != "":
		return x.copyObject(bucketName, b, key)
	case x.rec.Method == http.MethodPut:
		return x.putObject(bucketName, b, key)
	case x.rec.Method == http.MethodDelete:
		if err := x.allow("s3:DeleteObject", "arn:aws:s3:::"+bucketName+"/"+key, b.owner); err != nil {
			return err
		}
		delete(b.objects, key)
		return x.raw(http.StatusNoContent, "", nil)
	}
	return fault(http.StatusMethodNotAllowed, "MethodNotAllowed", "The specified method is not allowed against this resource.")
}

// s3Names reads bucket and key from host and path (virtual-hosted or path style).
func (x *exchange) s3Names() (string, string, error) {
	path := strings.TrimPrefix(x.path, "/")
	labels := strings.Split(x.rec.Host, ".")
	i := slices.Index(labels, "s3")
	if i < 0 || !strings.HasSuffix(x.rec.Host, ".amazonaws.com") {
		return "", "", fault(http.StatusBadRequest, "InvalidRequest", "not an S3 host: "+x.rec.Host)
	}
	if i > 0 {
		return strings.Join(labels[:i], "."), unescape(path, false), nil
	}
	name, key, _ := strings.Cut(path, "/")
	return unescape(name, false), unescape(key, false), nil
}

func (x *exchange) listBuckets() error {
	if err := x.allow("s3:ListAllMyBuckets", "*", Account); err != nil {
		return err
	}
	type item struct{ Name, CreationDate string }
	var list []item
	for _, name := range slices.Sorted(maps.Keys(x.data.buckets)) {
		if b := x.data.buckets[name]; b.owner == x.key.Account {
			list = append(list, item{name, b.created.UTC().Format(s3Time)})
		}
	}
	return x.xml(http.StatusOK, struct {
		XMLName xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ ListAllMyBucketsResult"`
		Buckets []item   `xml:"Buckets>Bucket"`
		Owner   struct{ ID string }
	}{Buckets: list, Owner: struct{ ID string }{x.key.Account}})
}

func (x *exchange) listObjects(name string, b *bucket) error {
	if err := x.allow("s3:ListBucket", "arn:aws:s3:::"+name, b.owner); err != nil {
		return err
	}
	prefix, delimiter := x.query.Get("prefix"), x.query.Get("delimiter")
	url := x.query.Get("encoding-type") == "url"
	show := func(s string) string {
		if url {
			return strings.ReplaceAll(escape(s), "%2F", "/")
		}
		return s
	}
	type item struct {
		Key, LastModified, ETag string
		Size                    int
		StorageClass            string
	}
	type common struct{ Prefix string }
	var items []item
	var prefixes []common
	for _, key := range slices.Sorted(maps.Keys(b.objects)) {
		rest, ok := strings.CutPrefix(key, prefix)
		if !ok {
			continue
		}
		if at := strings.Index(rest, delimiter); delimiter != "" && at >= 0 {
			p := common{show(prefix + rest[:at+len(delimiter)])}
			if !slices.Contains(prefixes, p) {
				prefixes = append(prefixes, p)
			}
			continue
		}
		o := b.objects[key]
		items = append(items, item{show(key), o.modified.UTC().Format(s3Time), o.etag, len(o.body), "STANDARD"})
	}
	limit := 1000
	if n, err := strconv.Atoi(x.query.Get("max-keys")); err == nil && n >= 0 {
		limit = min(limit, n)
	}
	truncated := len(items) > limit
	items = items[:min(limit, len(items))]
	return x.xml(http.StatusOK, struct {
		XMLName           xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ ListBucketResult"`
		Name, Prefix      string
		KeyCount, MaxKeys int
		IsTruncated       bool
		EncodingType      string `xml:",omitempty"`
		Contents          []item
		CommonPrefixes    []common
	}{Name: name, Prefix: show(prefix), KeyCount: len(items) + len(prefixes), MaxKeys: limit, IsTruncated: truncated, EncodingType: x.query.Get("encoding-type"), Contents: items, CommonPrefixes: prefixes})
}

func httpTime(t time.Time) string { return t.UTC().Format(http.TimeFormat) }

// expectedOwner applies x-amz-expected-bucket-owner, and the source's where a copy
// reads.
func (x *exchange) expectedOwner(action, owner string) error {
	name := "X-Amz-Expected-Bucket-Owner"
	if action == "s3:GetObject" && x.rec.Header.Get("X-Amz-Copy-Source") != "" {
		name = "X-Amz-Source-Expected-Bucket-Owner"
	}
	if want := x.rec.Header.Get(name); x.service == "s3" && want != "" && want != owner {
		return fault(http.StatusForbidden, "AccessDenied", "Access Denied")
	}
	return nil
}
