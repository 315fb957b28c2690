package detect

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
)

// Clean text like AWS's answers: nothing in it is a secret.
func cleanText(kind string, size int) []byte {
	var b bytes.Buffer
	for i := 0; b.Len() < size; i++ {
		switch kind {
		case "json":
			if i == 0 {
				b.WriteString(`{"Reservations":[`)
			} else {
				b.WriteByte(',')
			}
			fmt.Fprintf(&b, `{"Groups":[],"Instances":[{"AmiLaunchIndex":0,"ImageId":"ami-0%016x","InstanceId":"i-%017x","InstanceType":"m5.large","KeyName":"ops-%d","LaunchTime":"2026-03-1%dT08:05:20.000Z","Monitoring":{"State":"disabled"},"Placement":{"AvailabilityZone":"us-east-1a","Tenancy":"default"},"PrivateDnsName":"ip-10-0-%d-157.ec2.internal","PrivateIpAddress":"10.0.%d.157","State":{"Code":16,"Name":"running"},"SubnetId":"subnet-%017x","VpcId":"vpc-0a1b2c3d4e5f60718","Architecture":"x86_64","BlockDeviceMappings":[{"DeviceName":"/dev/xvda","Ebs":{"AttachTime":"2026-03-10T08:05:21.000Z","DeleteOnTermination":true,"Status":"attached","VolumeId":"vol-%017x"}}],"ClientToken":"%08x-4a53-4b5e-8a5f-1c2b3d4e5f60","IamInstanceProfile":{"Arn":"arn:aws:iam::111122223333:instance-profile/WebServerInstanceProfile-%d","Id":"AIPA2XAMPLE5UWT7UZ0%02d"},"SecurityGroups":[{"GroupName":"launch-wizard-%d","GroupId":"sg-0598c7d356eba48d7"}],"Tags":[{"Key":"Name","Value":"web-server-%d"},{"Key":"aws:autoscaling:groupName","Value":"production-web"}],"VirtualizationType":"hvm"}],"OwnerId":"111122223333","ReservationId":"r-%017x"}`,
				i*7919, i*104729, i, i%9, i%250, i%250, i*31337, i*65537, i*99991, i, i%99, i, i, i*1299709)
		case "log":
			fmt.Fprintf(&b, "2026-03-14T09:21:%02d.412Z INFO  [worker-%d] com.example.orders.OrderService - Processed order %d in %d ms for customer %d, status=SHIPPED region=eu-west-1 requestId=3f1c9a7e-7f0b-4d5c-9c5f-%012x\n10.0.3.%d - - [14/Mar/2026:09:21:08 +0000] \"GET /static/js/main.3f2c9b1a.js HTTP/1.1\" 200 48213 \"https://www.example.com/\" \"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/122.0\"\n", i%60, i%8, i*37, i%100, i*11, i*7919, i%250)
		case "prose":
			b.WriteString("It was the best of times, it was the worst of times, it was the age of wisdom, it was the age of foolishness, it was the epoch of belief, it was the epoch of incredulity, it was the season of Light, it was the season of Darkness, it was the spring of hope, it was the winter of despair. We had everything before us, we had nothing before us, we were all going direct to Heaven, we were all going direct the other way. ")
		}
	}
	if kind == "json" {
		b.WriteString("]}")
	}
	return b.Bytes()
}

func BenchmarkMaskClean(b *testing.B) {
	s := mustNew(b, DefaultSets()...)
	for _, kind := range []string{"json", "log", "prose"} {
		for _, size := range []int{64 << 10, 1 << 20} {
			text := cleanText(kind, size)
			b.Run(fmt.Sprintf("%s/%dKB", kind, size>>10), func(b *testing.B) {
				b.SetBytes(int64(len(text)))
				b.ReportAllocs()
				for b.Loop() {
					if _, hits := s.Mask("", text, masked); hits != nil {
						b.Fatal(hits)
					}
				}
			})
		}
	}
}

// JSON in which a detector's keyword stands, and strings with escapes: it is read
// string by string.
func BenchmarkMaskCleanJSONInStrings(b *testing.B) {
	s := mustNew(b, DefaultSets()...)
	text := bytes.ReplaceAll(cleanText("json", 1<<20), []byte(`"hvm"`), []byte(`"a \"twitter\" bot"`))
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		if _, hits := s.Mask("", text, masked); hits != nil {
			b.Fatal(hits)
		}
	}
}

func BenchmarkFindClean(b *testing.B) {
	s := mustNew(b, DefaultSets()...)
	for _, kind := range []string{"json", "log", "prose"} {
		text := cleanText(kind, 64<<10)
		b.Run(kind, func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			for b.Loop() {
				s.Find("", text)
			}
		})
	}
}

// One secret in every kilobyte.
func BenchmarkMaskDirty(b *testing.B) {
	s := mustNew(b, DefaultSets()...)
	clean := cleanText("log", 1<<20)
	var text []byte
	for i := 0; i+1024 <= len(clean); i += 1024 {
		text = append(append(text, clean[i:i+1024]...), " token=ghp_0123456789abcdefghijABCDEFGHIJ0123456 "...)
	}
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		s.Mask("", text, masked)
	}
}

func BenchmarkStreamClean(b *testing.B) {
	s := mustNew(b, DefaultSets()...)
	text := cleanText("log", 1<<20)
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		st := s.NewStream(masked, true)
		for p := text; len(p) > 0; {
			n := min(len(p), 32<<10)
			st.Write(p[:n])
			p = p[n:]
		}
		st.Close()
	}
}

// Texts made to be slow: keywords without secrets, everything encoded.
func BenchmarkMaskHostile(b *testing.B) {
	s := mustNew(b, DefaultSets()...)
	for name, unit := range map[string]string{
		"keywords":    "twitter",
		"keys":        "-----BEGIN PRIVATE KEY-----",
		"open keys":   "-----BEGIN PRIVATE KEY-----MC4CAQAwBQYDK2VwBCIE",
		"jwt":         "eyJ-",
		"headers":     "eyJhIjoi-",
		"sessions":    "IQoJb3JpZ2lu/",
		"assignments": "twitter=",
		"backslashes": `\\`,
		"percent":     "%25",
		"base64":      "YUdWc2JHOGdkMjl5YkdRZ2FHVnNiRzhnZDI5eWJHUT0vYUdW",
		"brackets":    "[",
	} {
		text := []byte(strings.Repeat(unit, 64<<10/len(unit)))
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				s.Mask("", text, masked)
			}
		})
	}
}

func BenchmarkNew(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		mustNew(b, DefaultSets()...)
	}
}

// Small writes, as of an event stream.
func BenchmarkStreamSmallWrites(b *testing.B) {
	s := mustNew(b, DefaultSets()...)
	text := cleanText("prose", 16<<10)
	for _, size := range []int{1, 20} {
		b.Run(fmt.Sprintf("%dB", size), func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			for b.Loop() {
				st := s.NewStream(masked, true)
				for p := text; len(p) > 0; p = p[min(len(p), size):] {
					st.Write(p[:min(len(p), size)])
				}
				st.Close()
			}
		})
	}
}
