package awstest

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
)

func (x *exchange) input(prefix string) (string, map[string]any, error) {
	target := x.rec.Header.Get("X-Amz-Target")
	op, ok := strings.CutPrefix(target, prefix)
	if !ok {
		return "", nil, fault(http.StatusBadRequest, "UnknownOperationException", "X-Amz-Target "+target)
	}
	in := map[string]any{}
	if err := json.Unmarshal(x.body, &in); err != nil {
		return "", nil, fault(http.StatusBadRequest, "SerializationException", "the body is no JSON object")
	}
	return op, in, nil
}

func str(m map[string]any, name string) string {
	s, _ := m[name].(string)
	return s
}

// itemKey is the item's primary key: all simulated tables have one string key, id.
func itemKey(v any) (string, error) {
	m, _ := v.(map[string]any)
	id, _ := m["id"].(map[string]any)
	s, ok := id["S"].(string)
	if !ok {
		return "", fault(http.StatusBadRequest, "ValidationException", "The provided key element does not match the schema")
	}
	return "S:" + s, nil
}

func (x *exchange) dynamodb() error {
	op, in, err := x.input("DynamoDB_20120810.")
	if err != nil {
		return err
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if op == "ListTables" {
		if err := x.allow("dynamodb:ListTables", "*", Account); err != nil {
			return err
		}
		return x.json(http.StatusOK, map[string]any{"TableNames": slices.Sorted(maps.Keys(x.data.tables))})
	}
	name := str(in, "TableName")
	if i := strings.LastIndexByte(name, '/'); i >= 0 {
		name = name[i+1:]
	}
	if err := x.allow("dynamodb:"+op, "arn:aws:dynamodb:"+Region+":"+Account+":table/"+name, Account); err != nil {
		return err
	}
	table, ok := x.data.tables[name]
	if !ok {
		return fault(http.StatusBadRequest, "ResourceNotFoundException", "Requested resource not found")
	}
	switch op {
	case "GetItem", "DeleteItem":
		k, err := itemKey(in["Key"])
		if err != nil {
			return err
		}
		out := map[string]any{}
		if item, ok := table[k]; ok && op == "GetItem" {
			out["Item"] = item
		}
		if op == "DeleteItem" {
			delete(table, k)
		}
		return x.json(http.StatusOK, out)
	case "PutItem":
		k, err := itemKey(in["Item"])
		if err != nil {
			return err
		}
		table[k], _ = in["Item"].(map[string]any)
		return x.json(http.StatusOK, map[string]any{})
	case "Query":
		return x.queryTable(table, in)
	}
	return fault(http.StatusBadRequest, "UnknownOperationException", "the simulated DynamoDB has no "+op)
}

// queryTable knows one form: KeyConditionExpression with one placeholder value
// for the key.
func (x *exchange) queryTable(table map[string]map[string]any, in map[string]any) error {
	values, _ := in["ExpressionAttributeValues"].(map[string]any)
	if len(values) != 1 {
		return fault(http.StatusBadRequest, "ValidationException", "the simulated DynamoDB wants exactly one value, for the key")
	}
	items := []any{}
	for _, v := range values {
		k, err := itemKey(map[string]any{"id": v})
		if err != nil {
			return err
		}
		if item, ok := table[k]; ok {
			items = append(items, item)
		}
	}
	return x.json(http.StatusOK, map[string]any{"Items": items, "Count": len(items), "ScannedCount": len(items)})
}

func (x *exchange) secrets() error {
	op, in, err := x.input("secretsmanager.")
	if err != nil {
		return err
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	switch op {
	case "ListSecrets":
		if err := x.allow("secretsmanager:ListSecrets", "*", Account); err != nil {
			return err
		}
		list := []any{}
		for _, name := range slices.Sorted(maps.Keys(x.data.secrets)) {
			list = append(list, map[string]any{"Name": name, "ARN": x.data.secrets[name].arn})
		}
		return x.json(http.StatusOK, map[string]any{"SecretList": list})
	case "GetSecretValue":
		id := str(in, "SecretId")
		arn := fmt.Sprintf("arn:aws:secretsmanager:%s:%s:secret:%s-000000", Region, Account, id)
		if strings.HasPrefix(id, "arn:") {
			arn = id
		}
		var found *secretValue
		var name string
		for n, s := range x.data.secrets {
			if n == id || s.arn == id {
				name, found, arn = n, s, s.arn
			}
		}
		if err := x.allow("secretsmanager:GetSecretValue", arn, Account); err != nil {
			return err
		}
		if found == nil {
			return fault(http.StatusBadRequest, "ResourceNotFoundException", "Secrets Manager can't find the specified secret.")
		}
		return x.json(http.StatusOK, map[string]any{"ARN": found.arn, "Name": name, "SecretString": found.value,
			"VersionId": "11111111-2222-3333-4444-555555555555", "VersionStages": []string{"AWSCURRENT"}})
	}
	return fault(http.StatusBadRequest, "UnknownOperationException", "the simulated Secrets Manager has no "+op)
}
