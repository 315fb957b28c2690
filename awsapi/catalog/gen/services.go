package main

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sort"
	"strings"

	"github.com/sallyport/sallyport/awsapi/catalog"
)

// document is the part of a service document that the tables are made from.
type document struct {
	Service        string          `json:"service"`
	FullName       string          `json:"fullName"`
	EndpointPrefix string          `json:"endpointPrefix"`
	IAMPrefixes    []string        `json:"iamPrefixes"`
	SigningNames   []string        `json:"signingNames"`
	Auth           []string        `json:"auth"`
	APIVersions    []string        `json:"apiVersions"`
	Protocols      []string        `json:"protocols"`
	Botocore       string          `json:"botocoreProtocol"`
	JSONVersion    string          `json:"jsonVersion"`
	TargetPrefix   string          `json:"targetPrefix"`
	RPCName        string          `json:"rpcServiceName"`
	XMLNamespace   string          `json:"xmlNamespace"`
	QueryCompat    json.RawMessage `json:"awsQueryCompatible"`
	Hosts          []struct {
		Host          string   `json:"host"`
		Partitions    []string `json:"partitions"`
		SigningName   string   `json:"signingName"`
		SigningRegion string   `json:"signingRegion"`
		FIPS          bool     `json:"fips"`
		DualStack     bool     `json:"dualStack"`
	} `json:"hosts"`
	Templates []string `json:"urlTemplates"`
	Legacy    []struct {
		Partition string `json:"partition"`
		Host      string `json:"host"`
		Template  string `json:"template"`  // with {region} and {dnsSuffix}
		DNSSuffix string `json:"dnsSuffix"` // of the template
		Scope     struct {
			Region  string `json:"region"`
			Service string `json:"service"`
		} `json:"credentialScope"`
	} `json:"legacyHosts"`
	Operations map[string]json.RawMessage `json:"operations"`
	Shapes     []string                   `json:"shapes"`
}

// binding and detail keys of an operation; the rest of the document is left out.
var (
	bindingKeys = []string{"method", "path", "query", "labels", "queryMembers", "headerMembers", "payload", "hostPrefix", "authtype", "auth",
		"streamingInput", "streamingOutput", "eventStreamInput", "eventStreamOutput", "permissionless", "contextParams", "input", "requestcompression", "deprecated"}
	detailKeys = []string{"iam", "arnMembers", "idempotencyMembers", "resultWrapper", "iamNote"}
	memberKeys = []string{"sensitiveInput", "sensitiveOutput", "secretOutput"}
)

func generate(dir string) (index, archive []byte, err error) {
	var idx catalog.Index
	var parts struct {
		Partitions []catalog.Partition `json:"partitions"`
	}
	b, err := os.ReadFile(filepath.Join(dir, "partitions.json"))
	if err != nil {
		return nil, nil, fmt.Errorf("read partitions: %w", err)
	}
	if err := json.Unmarshal(b, &parts); err != nil {
		return nil, nil, fmt.Errorf("parse partitions.json: %w", err)
	}
	idx.Partitions = parts.Partitions
	files, err := filepath.Glob(filepath.Join(dir, "services", "*.json.gz"))
	if err != nil {
		return nil, nil, err
	}
	if len(files) == 0 {
		return nil, nil, fmt.Errorf("no service documents in %s", dir)
	}
	sort.Strings(files)
	var bin bytes.Buffer
	for _, f := range files {
		d, err := readDocument(f)
		if err != nil {
			return nil, nil, err
		}
		info := d.info()
		info.Offset = bin.Len()
		bindings, details, prefixes, err := d.operations()
		if err != nil {
			return nil, nil, fmt.Errorf("%s: %w", d.Service, err)
		}
		n, err := compress(&bin, bindings)
		if err != nil {
			return nil, nil, err
		}
		info.Bindings = n
		if info.Details, err = compress(&bin, details); err != nil {
			return nil, nil, err
		}
		if info.Shapes, err = compress(&bin, []byte(strings.Join(d.Shapes, "\n"))); err != nil {
			return nil, nil, err
		}
		idx.Services = append(idx.Services, info)
		hosts, err := d.hosts(idx.Partitions, len(idx.Services)-1, prefixes)
		if err != nil {
			return nil, nil, fmt.Errorf("%s: %w", d.Service, err)
		}
		idx.Hosts = append(idx.Hosts, hosts...)
	}
	b, err = json.Marshal(idx)
	if err != nil {
		return nil, nil, err
	}
	var ib bytes.Buffer
	if _, err := compress(&ib, b); err != nil {
		return nil, nil, err
	}
	return ib.Bytes(), bin.Bytes(), nil
}

func readDocument(file string) (*document, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	b, err := io.ReadAll(z)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	d := new(document)
	if err := json.Unmarshal(b, d); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return d, nil
}

func (d *document) info() catalog.ServiceInfo {
	s := catalog.ServiceInfo{
		ID: d.Service, FullName: d.FullName, EndpointPrefix: d.EndpointPrefix, IAMPrefixes: d.IAMPrefixes, SigningNames: d.SigningNames,
		JSONVersion: d.JSONVersion, TargetPrefix: d.TargetPrefix, RPCName: d.RPCName,
		APIVersions: d.APIVersions, XMLNamespace: d.XMLNamespace, QueryCompatible: len(d.QueryCompat) > 0 && string(d.QueryCompat) != "null",
	}
	if s.RPCName == "" {
		s.RPCName = d.TargetPrefix
	}
	seen := map[string]bool{}
	add := func(p string) {
		if p != "" && !seen[p] {
			seen[p] = true
			s.Protocols = append(s.Protocols, p)
		}
	}
	add(d.Botocore)
	for _, p := range d.Protocols {
		add(p)
	}
	if s.QueryCompatible {
		// Clients from before the switch to JSON still speak query.
		add("query")
	}
	if len(d.Auth) == 1 && d.Auth[0] == "aws.auth#sigv4a" {
		s.SigV4A = true
	}
	return s
}

// operations splits the operations into the bindings that identify a request and
// the details that are wanted after that.
func (d *document) operations() (bindings, details []byte, prefixes []string, err error) {
	bs, ds := map[string]map[string]json.RawMessage{}, map[string]map[string]any{}
	seen := map[string]bool{}
	for name, raw := range d.Operations {
		var op map[string]json.RawMessage
		if err := json.Unmarshal(raw, &op); err != nil {
			return nil, nil, nil, fmt.Errorf("%s: %w", name, err)
		}
		b, t := map[string]json.RawMessage{}, map[string]any{}
		for _, k := range bindingKeys {
			if v, ok := op[k]; ok {
				b[k] = v
			}
		}
		for _, k := range []string{"streamingInput", "streamingOutput", "eventStreamInput", "eventStreamOutput", "permissionless", "requestcompression", "deprecated"} {
			// Some are names of members in the source; only the fact is kept.
			if v, ok := b[k]; ok && string(v) != "false" {
				b[k] = json.RawMessage("true")
			}
		}
		for _, k := range detailKeys {
			if v, ok := op[k]; ok {
				t[k] = v
			}
		}
		for _, k := range memberKeys {
			v, ok := op[k]
			if !ok {
				continue
			}
			m := map[string][]catalog.Member{}
			if err := json.Unmarshal(v, &m); err != nil {
				return nil, nil, nil, fmt.Errorf("%s.%s: %w", name, k, err)
			}
			out := map[string][]map[string]string{}
			for p, list := range m {
				if len(list) >= cutOff {
					return nil, nil, nil, fmt.Errorf("%s.%s: the list of members was cut off; raise MAX_PATHS in build/files.py and cutOff here", name, k)
				}
				if k == "sensitiveInput" {
					list = collapse(list)
				}
				out[p] = lean(list)
			}
			t[k] = out
		}
		if v, ok := op["recursive"]; ok {
			var r struct{ Input, Output []catalog.Recursion }
			if err := json.Unmarshal(v, &r); err != nil {
				return nil, nil, nil, fmt.Errorf("%s.recursive: %w", name, err)
			}
			if len(r.Input) > 0 {
				t["recursiveInput"] = r.Input
			}
			if len(r.Output) > 0 {
				t["recursiveOutput"] = r.Output
			}
		}
		if b["permissionless"] == nil && string(op["iam"]) == "[]" && string(op["iamSource"]) == `"none"` {
			b["permissionless"] = json.RawMessage("true")
		}
		var hp string
		if v, ok := op["hostPrefix"]; ok {
			if err := json.Unmarshal(v, &hp); err != nil {
				return nil, nil, nil, fmt.Errorf("%s.hostPrefix: %w", name, err)
			}
			if !seen[hp] {
				seen[hp] = true
				prefixes = append(prefixes, hp)
			}
		}
		bs[name], ds[name] = b, t
	}
	sort.Strings(prefixes)
	if bindings, err = json.Marshal(bs); err != nil {
		return nil, nil, nil, err
	}
	details, err = json.Marshal(ds)
	return bindings, details, prefixes, err
}

// cutOff is the length at which build.py stops a list. What is missing in a list
// would reach the agent.
const cutOff = 20000

// maxMembers bounds a list of input members, which is for records. QuickSight's
// definitions need thousands of paths each; covering them from a common ancestor
// leaves more out of a record than is marked, never less. An answer needs them all,
// or the agent would miss what is no secret.
const maxMembers = 200

func collapse(list []catalog.Member) []catalog.Member {
	for depth := 8; len(list) > maxMembers && depth > 0; depth-- {
		var out []catalog.Member
		seen := map[string]bool{}
		for _, m := range list {
			path, member := strings.Split(m.Path, "."), strings.Split(m.Member, ".")
			if len(path) > depth && len(member) == len(path) && m.In == "body" {
				m = catalog.Member{Path: strings.Join(path[:depth], "."), Member: strings.Join(member[:depth], "."), In: m.In, Type: "structure"}
			}
			key := m.In + "\x00" + m.Path + "\x00" + m.Type
			if seen[key] {
				continue
			}
			seen[key] = true
			out = append(out, m)
		}
		list = out
	}
	return list
}

// lean drops what is empty or said twice.
func lean(list []catalog.Member) []map[string]string {
	out := make([]map[string]string, 0, len(list))
	for _, m := range list {
		e := map[string]string{"path": m.Path, "in": m.In, "type": m.Type}
		if m.Member != m.Path {
			e["member"] = m.Member
		}
		for k, v := range map[string]string{"xml": m.XML, "param": m.Param, "kind": m.Kind} {
			if v != "" {
				e[k] = v
			}
		}
		out = append(out, e)
	}
	return out
}

func compress(w *bytes.Buffer, b []byte) (int, error) {
	start := w.Len()
	z, err := gzip.NewWriterLevel(w, gzip.BestCompression)
	if err != nil {
		return 0, err
	}
	if _, err := z.Write(b); err != nil {
		return 0, err
	}
	if err := z.Close(); err != nil {
		return 0, err
	}
	return w.Len() - start, nil
}
