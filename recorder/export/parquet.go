package export

import (
	"encoding/json"
	"io"
	"time"

	"github.com/parquet-go/parquet-go"

	"github.com/sallyport/sallyport/recorder"
)

// Row is a call as a row of Parquet. Columns are CloudTrail's names where it has one.
type Row struct {
	RequestID          string    `parquet:"request_id"`
	SessionID          string    `parquet:"session_id,optional"`
	EventTime          time.Time `parquet:"event_time,timestamp(microsecond)"`
	DurationMS         *int64    `parquet:"duration_ms,optional"` // to its end; null while it has none
	Issuer             string    `parquet:"issuer,optional,dict"`
	Subject            string    `parquet:"subject,optional,dict"`
	Groups             []string  `parquet:"groups,list"`
	Label              string    `parquet:"label,optional,dict"`
	SourceIPAddress    string    `parquet:"source_ip_address,optional,dict"`
	UserAgent          string    `parquet:"user_agent,optional,dict"`
	Target             string    `parquet:"target,optional,dict"`
	EventSource        string    `parquet:"event_source,optional,dict"`
	EventName          string    `parquet:"event_name,optional,dict"`
	AWSRegion          string    `parquet:"aws_region,optional,dict"`
	RecipientAccountID string    `parquet:"recipient_account_id,optional,dict"`
	Actions            []string  `parquet:"actions,list"`
	AccessLevel        string    `parquet:"access_level,optional,dict"`
	Resources          []string  `parquet:"resources,list"`              // ARNs
	RequestParameters  string    `parquet:"request_parameters,optional"` // JSON, masked
	Result             string    `parquet:"result,dict"`
	Status             *int32    `parquet:"status,optional"`
	ErrorCode          string    `parquet:"error_code,optional,dict"`
	ErrorMessage       string    `parquet:"error_message,optional"`
	Rules              []string  `parquet:"rules,list"`
	Risk               *int32    `parquet:"risk,optional"`
	Approval           string    `parquet:"approval,optional"`
	Approvers          string    `parquet:"approvers,optional"`
	AccessKeyID        string    `parquet:"access_key_id,optional"`
	RoleARN            string    `parquet:"role_arn,optional,dict"`
	AWSRequestID       string    `parquet:"aws_request_id,optional"`
	Masked             int32     `parquet:"masked"`
	RequestBytes       *int64    `parquet:"request_bytes,optional"`
	RequestSHA256      string    `parquet:"request_sha256,optional"`
	ResponseBytes      *int64    `parquet:"response_bytes,optional"`
	ResponseSHA256     string    `parquet:"response_sha256,optional"`
}

// rowOf flattens a call.
func rowOf(c *recorder.Call) (Row, error) {
	h, o := c.Head(), c.Operation()
	r := Row{
		RequestID: c.ID, SessionID: c.Session, EventTime: h.EventTime.UTC(), Issuer: h.UserIdentity.Issuer, Subject: h.UserIdentity.Subject, Groups: h.UserIdentity.Groups,
		Label: h.UserIdentity.Label, SourceIPAddress: h.SourceIPAddress, UserAgent: h.UserAgent, Target: o.Target, EventSource: o.EventSource, EventName: o.EventName,
		AWSRegion: o.AWSRegion, RecipientAccountID: o.RecipientAccountID, Actions: o.Actions, AccessLevel: o.AccessLevel, Result: string(c.Result()),
		Approvers: c.Approvers(), Masked: int32(min(c.Masked(), 1<<31-1)),
	}
	r.ErrorCode, r.ErrorMessage = c.Error()
	if end := c.End(); !end.IsZero() {
		ms := end.Sub(h.EventTime).Milliseconds()
		r.DurationMS = &ms
	}
	if s := int32(c.Status()); s != 0 {
		r.Status = &s
	}
	if q := c.Request; q != nil {
		for _, res := range q.Resources {
			r.Resources = append(r.Resources, res.ARN)
		}
		if len(q.RequestParameters) > 0 {
			text, err := json.Marshal(q.RequestParameters)
			if err != nil {
				return Row{}, err
			}
			r.RequestParameters = string(text)
		}
		if b := q.RequestBody; b != nil {
			r.RequestBytes, r.RequestSHA256 = &b.Size, b.SHA256
		}
	}
	if d := c.Decision; d != nil {
		r.Rules, r.Approval = d.Rules, d.Approval
		if d.Risk != nil {
			score := int32(d.Risk.Score)
			r.Risk = &score
		}
	}
	if k := c.Credential; k != nil {
		r.AccessKeyID, r.RoleARN = k.AccessKeyID, k.RoleARN
	}
	if a := c.Response; a != nil {
		r.AWSRequestID = a.AWSRequestID
		if a.RequestBody != nil {
			r.RequestBytes, r.RequestSHA256 = &a.RequestBody.Size, a.RequestBody.SHA256
		}
		if a.ResponseBody != nil {
			r.ResponseBytes, r.ResponseSHA256 = &a.ResponseBody.Size, a.ResponseBody.SHA256
		}
	}
	return r, nil
}

type parquetWriter struct {
	w     *parquet.GenericWriter[Row]
	rows  []Row
	bytes int // of long texts in the row group
}

const (
	rowsAtOnce = 512      // bounds what is held before it is written into a row group
	groupBytes = 32 << 20 // and what a row group holds in memory: parameters may be megabytes
)

func newParquet(w io.Writer) *parquetWriter {
	return &parquetWriter{w: parquet.NewGenericWriter[Row](w, parquet.Compression(&parquet.Zstd), parquet.MaxRowsPerRowGroup(64<<10))}
}

func (p *parquetWriter) Write(c *recorder.Call) error {
	r, err := rowOf(c)
	if err != nil {
		return err
	}
	p.bytes += len(r.RequestParameters) + len(r.ErrorMessage)
	for _, arn := range r.Resources {
		p.bytes += len(arn)
	}
	if p.rows = append(p.rows, r); len(p.rows) < rowsAtOnce && p.bytes < groupBytes {
		return nil
	}
	if err := p.flush(); err != nil || p.bytes < groupBytes {
		return err
	}
	p.bytes = 0
	return p.w.Flush()
}

func (p *parquetWriter) flush() error {
	_, err := p.w.Write(p.rows)
	p.rows = p.rows[:0]
	return err
}

func (p *parquetWriter) Close() error {
	if err := p.flush(); err != nil {
		return err
	}
	return p.w.Close()
}
