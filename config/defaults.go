package config

import (
	"time"

	"github.com/sallyport/sallyport/internal/strictyaml"
	"github.com/sallyport/sallyport/mask/detect"
	"github.com/sallyport/sallyport/policy"
)

// defaults is what an empty file means.
func defaults() *Config {
	return &Config{
		StateDir: "state",
		Proxy:    Proxy{Listen: strictyaml.HostPort{Host: "127.0.0.1", Port: 3128}},
		Policy:   Policy{Files: []string{"policy.yaml"}},
		Approvals: Approvals{
			Hold: 90 * time.Second, Expires: 15 * time.Minute, MaxPendingPerIdentity: 5, Slack: Slack{LinkFor: 24 * time.Hour},
		},
		Mask:   DefaultMask(),
		Record: Record{Name: "recorder", Bodies: policy.BodiesFull, BodyLimit: 8 << 20},
		NATS: NATS{
			Listen:        strictyaml.HostPort{Host: "127.0.0.1", Port: 4222},
			Replicas:      1,
			SubjectPrefix: "sallyport",
		},
		Admin: Admin{Listen: strictyaml.HostPort{Host: "127.0.0.1", Port: 3190}},
	}
}

// SetDefaults implements strictyaml.Defaulter.
func (t *Target) SetDefaults() { t.CredentialTTL, t.Credentials = time.Minute, AssumeRole }

// SetDefaults implements strictyaml.Defaulter.
func (i *Issuer) SetDefaults() {
	i.SubjectClaim, i.GroupsClaim, i.MaxTokenAge = "sub", "groups", time.Hour
}

// DefaultMask is what masks where no configuration says otherwise.
func DefaultMask() Mask {
	return Mask{AWSSensitive: true, MaxBody: 16 << 20, Objects: ObjectsPass, Detectors: detect.DefaultSets(),
		Presidio: Presidio{Language: "en", Threshold: 0.5, Timeout: 5 * time.Second}}
}
