package config

import (
	"net/netip"
	"regexp"
	"strings"

	"github.com/sallyport/sallyport/internal/strictyaml"
)

// Archive is a bucket of an S3-compatible object store into which a recorder copies its
// record. The identity is that of aws.base_profile, or the SDK's default chain.
type Archive struct {
	// Bucket is its name. Default "": no archive.
	Bucket string `yaml:"bucket"`
	// Prefix begins every key; with more than one recorder, each needs its own. It ends
	// with / where it is not empty. Default "".
	Prefix string `yaml:"prefix"`
	// Endpoint is the https URL of another store than AWS; http only on this machine.
	// Default "": AWS.
	Endpoint strictyaml.URL `yaml:"endpoint"`
	// Region of the bucket. Default: the profile's; with an endpoint us-east-1.
	Region string `yaml:"region"`
	// PathStyle puts the bucket into the path in place of the host name, as MinIO wants
	// it. Default false.
	PathStyle bool `yaml:"path_style"`
}

// The rules of the S3 User Guide, "Bucket naming rules", and plain characters for keys.
var (
	bucketName    = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$`)
	archivePrefix = regexp.MustCompile(`^([A-Za-z0-9_.=-]+/)*$`)
)

func (c *Config) validateArchive() {
	a := c.Record.Archive
	if a.Bucket == "" {
		if a != (Archive{}) {
			c.doc.Errorf("record.archive", "has no bucket; name one, or remove the rest")
		}
		return
	}
	if _, ip := netip.ParseAddr(a.Bucket); !bucketName.MatchString(a.Bucket) || strings.Contains(a.Bucket, "..") || ip == nil {
		c.doc.Errorf("record.archive.bucket", "%.70q is no name of a bucket; use 3 to 63 lower-case letters, digits, . and -", a.Bucket)
	}
	if len(a.Prefix) > 512 || !archivePrefix.MatchString(a.Prefix) || strings.Contains("/"+a.Prefix, "/./") || strings.Contains("/"+a.Prefix, "/../") {
		c.doc.Errorf("record.archive.prefix", "%.70q is no prefix; write names with / behind each, such as sallyport/recorder/", a.Prefix)
	}
	if a.Region != "" && !anyRegion.MatchString(a.Region) && a.Endpoint.URL == nil {
		c.doc.Errorf("record.archive.region", "%.40q is no region, such as us-east-1", a.Region)
	}
	if u := a.Endpoint.URL; u != nil {
		ip, err := netip.ParseAddr(u.Hostname())
		here := u.Hostname() == "localhost" || err == nil && ip.IsLoopback()
		switch {
		case u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.User != nil:
			c.doc.Errorf("record.archive.endpoint", "write scheme, host and port alone, such as https://minio.example.com:9000")
		case u.Scheme != "https" && (u.Scheme != "http" || !here):
			c.doc.Errorf("record.archive.endpoint", "%s://%s would send the record unencrypted; use https", u.Scheme, u.Host)
		}
	}
}
