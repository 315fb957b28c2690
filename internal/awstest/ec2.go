package awstest

import (
	"encoding/xml"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

type ec2State struct {
	Code int    `xml:"code"`
	Name string `xml:"name"`
}

type ec2Tag struct {
	Key   string `xml:"key"`
	Value string `xml:"value"`
}

type ec2Instance struct {
	ID    string   `xml:"instanceId"`
	State ec2State `xml:"instanceState"`
	Kind  string   `xml:"instanceType"`
	Tags  []ec2Tag `xml:"tagSet>item"`
}

type ec2Reservation struct {
	ID        string        `xml:"reservationId"`
	Owner     string        `xml:"ownerId"`
	Instances []ec2Instance `xml:"instancesSet>item"`
}

type ec2Change struct {
	ID       string   `xml:"instanceId"`
	Current  ec2State `xml:"currentState"`
	Previous ec2State `xml:"previousState"`
}

func stateOf(name string) ec2State {
	return ec2State{Code: map[string]int{"running": 16, "shutting-down": 32, "terminated": 48}[name], Name: name}
}

func (x *exchange) ec2() error {
	form, err := url.ParseQuery(string(x.body))
	if err != nil {
		return fault(http.StatusBadRequest, "MalformedQueryString", "the body is no form")
	}
	if len(x.body) == 0 {
		form = x.query
	}
	var ids []string
	for name, v := range form {
		if strings.HasPrefix(name, "InstanceId.") {
			ids = append(ids, v...)
		}
	}
	slices.Sort(ids)
	x.mu.Lock()
	defer x.mu.Unlock()
	switch form.Get("Action") {
	case "DescribeInstances":
		if err := x.allow("ec2:DescribeInstances", "*", Account); err != nil {
			return err
		}
		r := ec2Reservation{ID: "r-0000000000000000", Owner: Account}
		for _, id := range slices.Sorted(maps.Keys(x.data.instances)) {
			if i := x.data.instances[id]; len(ids) == 0 || slices.Contains(ids, id) {
				r.Instances = append(r.Instances, ec2Instance{ID: id, State: stateOf(i.state), Kind: i.kind, Tags: []ec2Tag{{"Name", i.name}}})
			}
		}
		return x.xml(http.StatusOK, struct {
			XMLName      xml.Name         `xml:"http://ec2.amazonaws.com/doc/2016-11-15/ DescribeInstancesResponse"`
			RequestID    string           `xml:"requestId"`
			Reservations []ec2Reservation `xml:"reservationSet>item"`
		}{RequestID: "simulated", Reservations: []ec2Reservation{r}})
	case "DescribeTags":
		return x.describeTags(form)
	case "TerminateInstances":
		return x.terminate(ids)
	}
	return fault(http.StatusBadRequest, "InvalidAction", "the simulated EC2 has no "+form.Get("Action"))
}

func (x *exchange) terminate(ids []string) error {
	if len(ids) == 0 {
		return fault(http.StatusBadRequest, "MissingParameter", "The request must contain the parameter InstanceId")
	}
	var changes []ec2Change
	for _, id := range ids {
		if err := x.allow("ec2:TerminateInstances", "arn:aws:ec2:"+Region+":"+Account+":instance/"+id, Account); err != nil {
			return err
		}
		i, ok := x.data.instances[id]
		if !ok {
			return fault(http.StatusBadRequest, "InvalidInstanceID.NotFound", "The instance ID '"+id+"' does not exist")
		}
		changes = append(changes, ec2Change{ID: id, Current: stateOf("shutting-down"), Previous: stateOf(i.state)})
	}
	for _, id := range ids {
		x.data.instances[id].state = "terminated"
	}
	return x.xml(http.StatusOK, struct {
		XMLName   xml.Name    `xml:"http://ec2.amazonaws.com/doc/2016-11-15/ TerminateInstancesResponse"`
		RequestID string      `xml:"requestId"`
		Changes   []ec2Change `xml:"instancesSet>item"`
	}{RequestID: "simulated", Changes: changes})
}
