package reconcile

import (
	"regexp"
	"strings"
)

// dated is how Lambda's events were named until October 2021, and CloudFront's are:
// CreateFunction20150331v2, CreateDistribution2020_05_31.
var dated = regexp.MustCompile(`_?20\d\d_?\d\d_?\d\d(v\d+)?$`)

// sameName reports that both speak of the same operation. CloudTrail writes most
// operations by their API name; S3's log has one name for the versions of an
// operation (ListObjects, PutBucketLifecycle).
func sameName(t *Trail, c *Call) bool {
	return plainName(t.EventSource, t.EventName) == plainName(c.EventSource, c.EventName)
}

func plainName(source, name string) string {
	name = dated.ReplaceAllString(name, "")
	if source == "s3.amazonaws.com" || source == "s3express.amazonaws.com" {
		name = strings.TrimSuffix(strings.TrimSuffix(name, "V2"), "Configuration")
	}
	return name
}

// dataOperations are those that CloudTrail logs as data events: only where a trail
// asks for them, at a price (user guide, "Logging data events"). Of S3, everything on
// objects is.
var dataOperations = map[string]string{
	"dynamodb.amazonaws.com": "GetItem PutItem UpdateItem DeleteItem BatchGetItem BatchWriteItem Query Scan TransactGetItems TransactWriteItems ExecuteStatement BatchExecuteStatement ExecuteTransaction GetRecords GetShardIterator",
	"lambda.amazonaws.com":   "Invoke InvokeAsync InvokeWithResponseStream",
	"s3.amazonaws.com": "GetObject HeadObject PutObject DeleteObject DeleteObjects CopyObject ListObjects ListObjectsV2 ListObjectVersions HeadBucket CreateMultipartUpload UploadPart UploadPartCopy CompleteMultipartUpload AbortMultipartUpload " +
		"ListParts ListMultipartUploads GetObjectAcl PutObjectAcl GetObjectTagging PutObjectTagging DeleteObjectTagging GetObjectAttributes GetObjectRetention PutObjectRetention GetObjectLegalHold PutObjectLegalHold GetObjectTorrent RestoreObject SelectObjectContent WriteGetObjectResponse PostObject RenameObject",
	"sqs.amazonaws.com":              "SendMessage SendMessageBatch ReceiveMessage DeleteMessage DeleteMessageBatch ChangeMessageVisibility ChangeMessageVisibilityBatch PurgeQueue GetQueueAttributes GetQueueUrl ListQueues ListDeadLetterSourceQueues",
	"sns.amazonaws.com":              "Publish PublishBatch",
	"kinesis.amazonaws.com":          "PutRecord PutRecords GetRecords GetShardIterator SubscribeToShard",
	"firehose.amazonaws.com":         "PutRecord PutRecordBatch",
	"monitoring.amazonaws.com":       "PutMetricData GetMetricData GetMetricStatistics ListMetrics GetMetricWidgetImage",
	"logs.amazonaws.com":             "PutLogEvents GetLogEvents FilterLogEvents GetLogRecord StartLiveTail",
	"ebs.amazonaws.com":              "GetSnapshotBlock PutSnapshotBlock ListSnapshotBlocks ListChangedBlocks",
	"xray.amazonaws.com":             "PutTraceSegments PutTelemetryRecords GetTraceSummaries BatchGetTraces",
	"events.amazonaws.com":           "PutEvents",
	"execute-api.amazonaws.com":      "Invoke",
	"timestream.amazonaws.com":       "WriteRecords Query",
	"rdsdata.amazonaws.com":          "ExecuteStatement BatchExecuteStatement BeginTransaction CommitTransaction RollbackTransaction",
	"rds-data.amazonaws.com":         "ExecuteStatement BatchExecuteStatement BeginTransaction CommitTransaction RollbackTransaction",
	"kinesisvideo.amazonaws.com":     "GetMedia PutMedia",
	"sagemaker.amazonaws.com":        "InvokeEndpoint InvokeEndpointAsync InvokeEndpointWithResponseStream PutRecord GetRecord",
	"s3express.amazonaws.com":        "GetObject PutObject DeleteObject DeleteObjects HeadObject ListObjects ListObjectsV2 CopyObject CreateSession UploadPart CompleteMultipartUpload CreateMultipartUpload AbortMultipartUpload",
	"codewhisperer.amazonaws.com":    "GenerateCompletions",
	"cognito-identity.amazonaws.com": "GetId GetCredentialsForIdentity GetOpenIdToken",
}

func dataEvent(c *Call) bool {
	for name := range strings.FieldsSeq(dataOperations[c.EventSource]) {
		if name == c.EventName {
			return true
		}
	}
	return false
}
