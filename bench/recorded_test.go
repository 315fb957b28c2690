package bench

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// BenchmarkRecorded is an S3 object of 64 KB, and EC2's DescribeInstances with 200 KB,
// at 8 connections: recorded in full, by their digests, and through goproxy.
func BenchmarkRecorded(b *testing.B) {
	instance := func(i int) string {
		return fmt.Sprintf("<item><instanceId>i-%017x</instanceId><imageId>ami-0abcdef1234567890</imageId><privateDnsName>ip-10-0-%d-%d.ec2.internal</privateDnsName><launchTime>2026-03-01T12:00:00.000Z</launchTime></item>\n", i, i/250, i%250)
	}
	var list strings.Builder
	for i := 0; list.Len() < 200_000; i++ {
		list.WriteString(instance(i))
	}
	document := `<DescribeInstancesResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><reservationSet>` + list.String() + `</reservationSet></DescribeInstancesResponse>`
	for _, answer := range []struct {
		name, text string
		request    func(b *testing.B) *http.Request
	}{
		{"object-64KB", list.String()[:64<<10], func(b *testing.B) *http.Request {
			return request(b, http.MethodGet, s3Host, "/bucket/key", "s3", "")
		}},
		{"document-200KB", document, func(b *testing.B) *http.Request {
			r := request(b, http.MethodPost, "ec2.us-east-1.amazonaws.com", "/", "ec2", "Action=DescribeInstances&Version=2016-11-15")
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			return r
		}},
	} {
		for _, way := range []struct {
			name    string
			through func(b *testing.B, u *upstream) way
		}{
			{"full", throughGateway},
			{"digest", func(b *testing.B, u *upstream) way { return throughGatewayWith(b, u, "record: {bodies: digest}") }},
			{"goproxy", throughGoproxy},
		} {
			b.Run(answer.name+"/"+way.name, func(b *testing.B) {
				u := newUpstream(b)
				u.text = answer.text
				w := way.through(b, u)
				before := processorTime(b)
				run(b, w, 8, func(c *http.Client) error { return finish(c, answer.request(b), int64(len(answer.text))) })
				b.ReportMetric(float64((processorTime(b)-before).Microseconds())/float64(b.N), "cpu-us/op")
			})
		}
	}
}
