package class

import "slices"

// destroys are operations whose effect a later call cannot take back: they end
// something that holds data, runs or serves. The rule is by verb over all
// services; destroysByName adds what the verb does not tell and harmless takes
// away what holds nothing. The rule can only err on the careful side: a new
// Delete operation is of this class until someone reviews it.
var destroys = slices.Concat(table{
	{"*", "its verb destroys", "Delete* Terminate* Purge* BatchDelete* Destroy* Drop* Truncate* Wipe* Decommission*"},
}, destroysByName)

var destroysByName = table{
	{"kms", "without the key its data is lost", "ScheduleKeyDeletion DisableKey DeleteImportedKeyMaterial"},
	{"organizations", "ends an account", "CloseAccount RemoveAccountFromOrganization"},
	{"emr", "ends a cluster", "TerminateJobFlows"},
	{"s3", "lets objects expire or drops versions", "PutBucketLifecycle PutBucketLifecycleConfiguration PutBucketVersioning AbortMultipartUpload"},
	{"s3control", "lets objects expire", "PutBucketLifecycleConfiguration"},
	{"ec2", "gives up an address or a host, or stops what runs", "ReleaseAddress ReleaseHosts StopInstances DeregisterImage CancelSpotFleetRequests CancelSpotInstanceRequests LockSnapshot"},
	{"ecs", "stops what runs", "StopTask StopServiceDeployment"},
	{"rds", "stops or overwrites a database", "StopDBInstance StopDBCluster ModifyDBInstance"},
	{"ecr", "lets images expire", "PutLifecyclePolicy"},
	{"dynamodb", "can delete what it names", "BatchWriteItem TransactWriteItems ExecuteStatement BatchExecuteStatement ExecuteTransaction"},
	{"rds-data", "can run any SQL", "ExecuteStatement BatchExecuteStatement ExecuteSql"},
	{"redshift-data", "can run any SQL", "ExecuteStatement BatchExecuteStatement"},
	{"athena", "can run any SQL", "StartQueryExecution"},
	{"neptunedata", "can delete what it names", "ExecuteFastReset ExecuteGremlinQuery ExecuteOpenCypherQuery"},
	{"neptune-graph", "empties a graph", "ResetGraph"},
	{"logs", "lets records expire", "PutRetentionPolicy"},
	{"backup", "ends what protects backups", "DisassociateRecoveryPoint* StopBackupJob UpdateRecoveryPointLifecycle"},
	{"dlm", "lets snapshots expire", "UpdateLifecyclePolicy CreateLifecyclePolicy"},
	{"kinesis", "lets records expire", "DecreaseStreamRetentionPeriod"},
	{"route53", "can take names away", "ChangeResourceRecordSets"},
	{"workspaces", "overwrites a desktop", "RebuildWorkspaces RestoreWorkspace"},
	{"fsx", "overwrites a volume", "RestoreVolumeFromSnapshot"},
	{"storagegateway", "drops what is not yet stored", "ResetCache EvictFilesFailingUpload DisableGateway ShutdownGateway"},
	{"cloudcontrol", "deletes any resource by its type", "DeleteResource"},
	{"secretsmanager", "drops a replica", "RemoveRegionsFromReplication"},
	{"medialive", "deletes what it names", "BatchDelete"},
	{"wickr", "deletes users", "BatchDeleteUser"},
	{"ssm", "deregisters a managed node", "DeregisterManagedInstance"},
	{"connect", "gives up a number", "ReleasePhoneNumber"},
	{"pinpoint-sms-voice-v2", "gives up a number or sender", "ReleasePhoneNumber ReleaseSenderId"},
	{"lightsail", "gives up an address", "ReleaseStaticIp"},
	{"sqs", "empties a queue", "PurgeQueue"},
	{"batch", "ends what runs", "TerminateJob CancelJob"},
	{"servicecatalog", "ends what runs", "TerminateProvisionedProduct"},
	{"autoscaling", "ends instances", "TerminateInstanceInAutoScalingGroup"},
	{"payment-cryptography", "drops replicas of a key", "RemoveKeyReplicationRegions"},
}

// harmless are operations with a destroying verb that end nothing that holds data,
// runs or serves: what is lost is a mark, a view or a message already read, and
// one call makes it again.
var harmless = table{
	{"*", "takes tags off", "DeleteTags DeleteTagsFor* Delete*Tags Delete*Tagging DeleteTag DeleteTagOption"},
	{"*", "a filter, view or saved search, made again by one call", "DeleteFilter DeleteFindingsFilter DeleteSavedQuery DeleteView DeleteBookmark DeleteFavorite* DeleteQueryDefinition DeleteNamedQuery DeleteStoredQuery DeleteInsightRule"},
	{"*", "an invitation", "DeleteInvitations DeleteInvitation"},
	{"*", "the reader's own mark", "DeleteComment DeleteReaction DeleteLabels"},
	{"sqs", "takes a message that its reader has had, as every reader does", "DeleteMessage DeleteMessageBatch"},
	{"ec2", "a description or an alert", "DeleteInstanceEventWindow DeleteSpotDatafeedSubscription DeleteNetworkInsightsAnalysis DeleteNetworkInsightsPath DeleteNetworkInsightsAccessScopeAnalysis"},
	{"lambda", "the queue and the retries of failed events", "DeleteFunctionEventInvokeConfig"},
	{"ssm", "closes the caller's session or an inventory type", "TerminateSession DeleteInventory"},
	{"athena", "ends a session of queries", "TerminateSession"},
	{"emr-serverless", "ends a session of queries", "TerminateSession"},
	{"lexv2-runtime", "ends a conversation", "DeleteSession"},
	{"lex-runtime", "ends a conversation", "DeleteSession"},
	{"glue", "ends a session of queries", "DeleteSession"},
	{"cloudformation", "drops a plan that was not carried out", "DeleteChangeSet"},
	{"cloudwatch", "a picture of metrics", "DeleteDashboards"},
}
