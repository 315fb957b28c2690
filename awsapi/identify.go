package awsapi

import (
	"net/http"
	"slices"
	"strings"
	"sync"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/sallyport/sallyport/awsapi/catalog"
	"github.com/sallyport/sallyport/refusal"
)

// Identifier turns requests into Calls by the catalog. It is safe for concurrent
// use.
type Identifier struct {
	cat        *catalog.Catalog
	suffixes   []suffix // longest first
	regions    map[string]bool
	patterns   map[string][]catalog.Host // pattern + "." + suffix
	globals    map[serviceIn]string      // the signing region of services that are global there
	s3         int
	s3control  int
	outposts   int // s3outposts
	configured map[string]Host
	hosts      *lru.Cache[string, Host] // names that were understood lately

	mu     sync.RWMutex
	routes map[int]*router               // by service; guarded by mu
	facts  map[*catalog.Operation]*facts // guarded by mu
	source map[string]string             // CloudTrail's name, by service; guarded by mu
}

// Request is a request as received on the intercepted connection.
type Request struct {
	Method        string
	Host          string // canonical: the CONNECT host
	Target        string // origin-form request target, raw
	Header        http.Header
	ContentLength int64  // -1 = chunked
	Account       string // the target's account, for ARNs where the request names none; may be ""
}

// maxHosts bounds the names that are remembered: agents may make up bucket names
// without end.
const maxHosts = 4096

// New reads the catalog's index. Endpoints are names beyond the catalog's.
func New(endpoints ...CustomEndpoint) (*Identifier, error) {
	c, err := catalog.Load()
	if err != nil {
		return nil, err
	}
	id := &Identifier{cat: c, regions: map[string]bool{}, patterns: map[string][]catalog.Host{}, globals: map[serviceIn]string{}, s3: -1, outposts: -1, routes: map[int]*router{}, facts: map[*catalog.Operation]*facts{}, source: map[string]string{}, configured: map[string]Host{}}
	for _, p := range c.Partitions {
		for _, r := range p.Regions {
			id.regions[r] = true
		}
		for _, s := range []suffix{{"." + p.DNSSuffix, false}, {"." + p.DualStack, true}} {
			if !slices.Contains(id.suffixes, s) {
				id.suffixes = append(id.suffixes, s)
			}
		}
	}
	slices.SortFunc(id.suffixes, func(a, b suffix) int { return len(b.name) - len(a.name) })
	for _, h := range c.Hosts {
		if c.Services[h.Service].ID == "s3" {
			continue // a grammar of its own
		}
		if h.SigningRegion != "" {
			k := serviceIn{h.Service, h.Partition}
			if old, ok := id.globals[k]; ok && old != h.SigningRegion {
				id.globals[k] = "" // more than one: none stands for all
			} else {
				id.globals[k] = h.SigningRegion
			}
		}
		sfx := ""
		if h.Suffix != "" {
			sfx = "." + h.Suffix
		}
		id.patterns[h.Pattern+sfx] = append(id.patterns[h.Pattern+sfx], h)
	}
	c.Hosts = nil                                 // patterns has them
	id.hosts, _ = lru.New[string, Host](maxHosts) // errs only for a size below 1
	for i, s := range c.Services {
		switch s.ID {
		case "s3":
			id.s3 = i
		case "s3control":
			id.s3control = i
		case "s3outposts":
			id.outposts = i
		}
	}
	for _, e := range endpoints {
		if err := id.configure(e); err != nil {
			return nil, err
		}
	}
	return id, nil
}

// ShapeOf guesses the wire format that a refusal should have, from host, target
// header and content type. It never fails: the zero Shape is plain JSON.
func (id *Identifier) ShapeOf(r Request) refusal.Shape {
	sh := refusal.Shape{Head: r.Method == http.MethodHead}
	if h, err := id.Classify(r.Host); err == nil && len(h.candidates) > 0 {
		info := &id.cat.Services[h.candidates[0].service]
		fillShape(&sh, info, Protocol(info.Protocols[0]))
	}
	ct := mediaType(r.Header.Get("Content-Type"))
	switch {
	case strings.EqualFold(r.Header.Get("Smithy-Protocol"), "rpc-v2-cbor"):
		sh.Protocol = string(CBOR)
	case strings.HasPrefix(ct, "application/x-amz-json-") || r.Header.Get("X-Amz-Target") != "":
		sh.Protocol = string(JSON)
		if v := strings.TrimPrefix(ct, "application/x-amz-json-"); v == "1.0" || v == "1.1" {
			sh.JSONVersion = v
		}
		if p, _, ok := strings.Cut(r.Header.Get("X-Amz-Target"), "."); ok && len(p) < 128 {
			sh.Namespace = p
		}
	case ct == "application/x-www-form-urlencoded" && sh.Protocol != string(EC2):
		sh.Protocol = string(Query)
	}
	return sh
}

func fillShape(sh *refusal.Shape, info *catalog.ServiceInfo, p Protocol) {
	sh.Protocol = string(p)
	sh.S3 = info.ID == "s3"
	sh.JSONVersion = info.JSONVersion
	sh.Namespace = info.TargetPrefix
	sh.XMLNamespace = info.XMLNamespace
	sh.QueryCompatible = info.QueryCompatible
}

func mediaType(ct string) string {
	ct, _, _ = strings.Cut(ct, ";")
	return strings.ToLower(strings.TrimSpace(ct))
}
