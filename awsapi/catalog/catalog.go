package catalog

import (
	"bytes"
	"compress/gzip"
	_ "embed" // the tables
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"sync"
)

//go:embed tables/index.json.gz
var indexTable []byte

//go:embed tables/services.bin
var serviceTable []byte

// Catalog is the decoded index with services that are decoded as they are used.
// It is safe for concurrent use.
type Catalog struct {
	Index
	byID     map[string]int
	services []lazyService
	archive  []byte // bindings and details of all services, compressed
}

type lazyService struct {
	once sync.Once
	s    *Service
	err  error
}

// Load decodes the embedded index.
func Load() (*Catalog, error) { return Parse(indexTable, serviceTable) }

// Parse decodes tables: what Load does with the embedded ones. The archive is kept
// and must not change.
func Parse(index, archive []byte) (*Catalog, error) {
	b, err := expand(index)
	if err != nil {
		return nil, fmt.Errorf("read the API catalog's index: %w", err)
	}
	c := &Catalog{archive: archive}
	if err := json.Unmarshal(b, &c.Index); err != nil {
		return nil, fmt.Errorf("parse the API catalog's index: %w", err)
	}
	c.services = make([]lazyService, len(c.Services))
	c.byID = make(map[string]int, len(c.Services))
	for i, s := range c.Services {
		c.byID[s.ID] = i
	}
	return c, nil
}

// Lookup returns the service with the given catalog id.
func (c *Catalog) Lookup(id string) (*Service, error) {
	i, ok := c.byID[id]
	if !ok {
		return nil, fmt.Errorf("no service %q in the API catalog", id)
	}
	return c.Service(i)
}

// Service returns Services[i] with its operations.
func (c *Catalog) Service(i int) (*Service, error) {
	l := &c.services[i]
	l.once.Do(func() { l.s, l.err = c.decode(i) })
	return l.s, l.err
}

// Service is a service with its operations.
type Service struct {
	ServiceInfo
	Operations map[string]*Operation
	archive    []byte

	mu       sync.RWMutex
	raw      map[string]json.RawMessage // what is not parsed yet; guarded by mu
	interned map[string]string          // guarded by mu
	details  map[string]*Detail         // guarded by mu

	shapesOnce sync.Once
	shapes     *Shapes
	shapesErr  error
}

func (c *Catalog) decode(i int) (*Service, error) {
	s := &Service{ServiceInfo: c.Services[i], archive: c.archive}
	b, err := expand(c.archive[s.Offset : s.Offset+s.Bindings])
	if err != nil {
		return nil, fmt.Errorf("read the API catalog's %s: %w", s.ID, err)
	}
	if err := json.Unmarshal(b, &s.Operations); err != nil {
		return nil, fmt.Errorf("parse the API catalog's %s: %w", s.ID, err)
	}
	s.details = make(map[string]*Detail)
	interned := map[string]string{}
	for name, op := range s.Operations {
		op.Name = name
		op.intern(interned)
		op.Parsed = parsePath(op.Path)
	}
	return s, nil
}

// Detail returns the details of an operation of s.
func (s *Service) Detail(operation string) (*Detail, error) {
	s.mu.RLock()
	d := s.details[operation]
	s.mu.RUnlock()
	if d != nil {
		return d, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if d = s.details[operation]; d != nil {
		return d, nil
	}
	if s.Operations[operation] == nil {
		return nil, fmt.Errorf("no operation %s:%s in the API catalog", s.ID, operation)
	}
	if s.raw == nil {
		at := s.Offset + s.Bindings
		b, err := expand(s.archive[at : at+s.ServiceInfo.Details])
		if err == nil {
			err = json.Unmarshal(b, &s.raw)
		}
		if err != nil {
			return nil, fmt.Errorf("read the API catalog's details of %s: %w", s.ID, err)
		}
		s.interned = map[string]string{}
	}
	raw, ok := s.raw[operation]
	if !ok {
		return nil, fmt.Errorf("no operation %s:%s in the API catalog", s.ID, operation)
	}
	d = new(Detail)
	if err := json.Unmarshal(raw, d); err != nil {
		return nil, fmt.Errorf("parse the API catalog's %s:%s: %w", s.ID, operation, err)
	}
	d.intern(s.interned)
	s.details[operation] = d
	s.raw[operation] = nil // the parsed form is the smaller one
	if len(s.details) == len(s.raw) {
		s.raw, s.interned = map[string]json.RawMessage{}, nil
	}
	return d, nil
}

// Needs are the names in what an operation needs.
type Needs struct {
	Permissionless bool
	Deprecated     bool
	Actions        []string // of its rows, in their order
	Services       []string // in the ARN templates of their resource types
}

// Needs of each operation of Services[i]. Nothing of them is kept here: they are asked
// for rarely, and then of many services that no request may ever be for.
func (c *Catalog) Needs(i int) (map[string]Needs, error) {
	info := c.Services[i]
	at := info.Offset + info.Bindings
	var bindings map[string]struct {
		Permissionless bool `json:"permissionless"`
		Deprecated     bool `json:"deprecated"`
	}
	var details map[string]struct {
		IAM []struct {
			Action    string `json:"action"`
			Resources []struct {
				ARN string `json:"arn"`
			} `json:"resources"`
		} `json:"iam"`
	}
	for _, part := range []struct {
		from, to int
		into     any
	}{{info.Offset, at, &bindings}, {at, at + info.Details, &details}} {
		b, err := expand(c.archive[part.from:part.to])
		if err == nil {
			err = json.Unmarshal(b, part.into)
		}
		if err != nil {
			return nil, fmt.Errorf("read the API catalog's %s: %w", info.ID, err)
		}
	}
	out := make(map[string]Needs, len(bindings))
	for name, op := range bindings {
		n := Needs{Permissionless: op.Permissionless, Deprecated: op.Deprecated}
		for _, row := range details[name].IAM {
			n.Actions = append(n.Actions, row.Action)
			for _, r := range row.Resources {
				if f := strings.SplitN(r.ARN, ":", 4); len(f) == 4 {
					n.Services = append(n.Services, f[2])
				}
			}
		}
		out[name] = n
	}
	return out, nil
}

// Shapes are the input shapes of s, which Operation.Input and other shapes index.
func (s *Service) Shapes() (*Shapes, error) {
	s.shapesOnce.Do(func() {
		at := s.Offset + s.Bindings + s.ServiceInfo.Details
		b, err := expand(s.archive[at : at+s.ServiceInfo.Shapes])
		if err == nil {
			s.shapes, err = parseShapes(string(b))
		}
		if err != nil {
			s.shapesErr = fmt.Errorf("read the API catalog's shapes of %s: %w", s.ID, err)
		}
	})
	return s.shapes, s.shapesErr
}

func expand(b []byte) ([]byte, error) {
	z, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		return nil, err
	}
	out, err := io.ReadAll(z)
	if err != nil {
		return nil, err
	}
	return out, z.Close()
}

func parsePath(p string) []Segment {
	p = strings.TrimPrefix(p, "/")
	if p == "" {
		return nil
	}
	parts := strings.Split(p, "/")
	out := make([]Segment, len(parts))
	for i, t := range parts {
		if strings.HasPrefix(t, "{") && strings.HasSuffix(t, "}") {
			t = t[1 : len(t)-1]
			out[i] = Segment{Text: strings.TrimSuffix(t, "+"), Label: true, Greedy: strings.HasSuffix(t, "+")}
			continue
		}
		out[i] = Segment{Text: t}
	}
	return out
}
