package class

const (
	watcher = "ends, narrows or redirects what watches the account"
	logs    = "changes or ends a log"
	hides   = "hides findings"
)

// disablesAudit end, narrow or redirect what watches the account. Put and Update
// are in the class because the same call that sets a log up can point it elsewhere.
var disablesAudit = table{
	{"cloudtrail", watcher, "StopLogging DeleteTrail UpdateTrail PutEventSelectors PutInsightSelectors PutEventConfiguration DeleteEventDataStore UpdateEventDataStore StopEventDataStoreIngestion DeleteChannel UpdateChannel DisableFederation DeregisterOrganizationDelegatedAdmin DeleteResourcePolicy PutResourcePolicy"},
	{"config", watcher, "StopConfigurationRecorder DeleteConfigurationRecorder DeleteServiceLinkedConfigurationRecorder PutConfigurationRecorder DeleteDeliveryChannel PutDeliveryChannel DeleteConfigRule PutConfigRule DeleteOrganizationConfigRule PutServiceLinkedConfigurationRecorder DeleteConformancePack DeleteOrganizationConformancePack DeleteConfigurationAggregator DeleteAggregationAuthorization DeleteEvaluationResults DeleteRetentionConfiguration PutRetentionConfiguration DeleteRemediationConfiguration DisassociateResourceTypes PutRemediationExceptions DeleteResourceConfig"},
	{"guardduty", watcher, "Delete* Disassociate* DisableOrganizationAdminAccount StopMonitoringMembers Update*"},
	{"guardduty", hides, "ArchiveFindings CreateFilter CreateIPSet CreateTrustedEntitySet"},
	{"securityhub", watcher, "DisableSecurityHub DisableSecurityHubV2 DisableOrganizationAdminAccount DisableImportFindingsForProduct BatchDisableStandards Disassociate* Delete* Update*"},
	{"securityhub", hides, "BatchUpdateFindings BatchUpdateFindingsV2 BatchUpdateStandardsControlAssociations BatchDeleteAutomationRules BatchUpdateAutomationRules CreateAutomationRule CreateAutomationRuleV2"},
	{"accessanalyzer", watcher, "DeleteAnalyzer DeleteServiceLinkedAnalyzer UpdateAnalyzer"},
	{"accessanalyzer", hides, "CreateArchiveRule UpdateArchiveRule DeleteArchiveRule ApplyArchiveRule UpdateFindings"},
	{"macie2", watcher, "DisableMacie DisableOrganizationAdminAccount Disassociate* DeleteMember Update* PutClassificationExportConfiguration PutFindingsPublicationConfiguration BatchUpdateAutomatedDiscoveryAccounts DeleteCustomDataIdentifier"},
	{"macie2", hides, "CreateFindingsFilter CreateAllowList DeleteAllowList"},
	{"detective", watcher, "DeleteGraph DeleteMembers DisassociateMembership DisableOrganizationAdminAccount UpdateDatasourcePackages UpdateOrganizationConfiguration UpdateInvestigationState"},
	{"inspector", watcher, "Delete* StopAssessmentRun UpdateAssessmentTarget RemoveAttributesFromFindings UnsubscribeFromEvent"},
	{"inspector2", watcher, "Disable DisableDelegatedAdminAccount Disassociate* Delete* UpdateConfiguration UpdateOrganizationConfiguration UpdateEc2DeepInspectionConfiguration UpdateOrgEc2DeepInspectionConfiguration UpdateCodeSecurity* UpdateCisScanConfiguration UpdateEncryptionKey StopCisSession BatchUpdateMemberEc2DeepInspectionStatus BatchDisassociateCodeSecurityScanConfiguration"},
	{"inspector2", hides, "CreateFilter UpdateFilter"},
	{"auditmanager", watcher, "DeregisterAccount DeregisterOrganizationAdminAccount Delete* UpdateSettings UpdateAssessment* UpdateControl BatchDisassociateAssessmentReportEvidence DisassociateAssessmentReportEvidenceFolder BatchDeleteDelegationByAssessment"},
	{"securitylake", watcher, "Delete* DeregisterDataLakeDelegatedAdministrator Update*"},
	{"fms", watcher, "PutPolicy DeletePolicy DisassociateAdminAccount DeleteNotificationChannel PutAdminAccount"},
	{"ec2", logs, "DeleteFlowLogs ModifyVerifiedAccessInstanceLoggingConfiguration UnmonitorInstances"},
	{"logs", logs, "DeleteLogGroup DeleteLogStream PutRetentionPolicy DeleteSubscriptionFilter DeleteMetricFilter DeleteDestination DeleteDelivery DeleteDeliveryDestination DeleteDeliverySource DeleteAccountPolicy DeleteDataProtectionPolicy PutDataProtectionPolicy DisassociateKmsKey DeleteLogAnomalyDetector UpdateLogAnomalyDetector UpdateAnomaly DeleteResourcePolicy PutTransformer"},
	{"cloudwatch", "silences an alarm", "DeleteAlarms DisableAlarmActions SetAlarmState PutMetricAlarm PutCompositeAlarm DeleteAnomalyDetector StopMetricStreams DeleteMetricStream PutAlarmMuteRule"},
	{"events", "ends a rule that reports", "DisableRule DeleteRule RemoveTargets PutRule DeleteArchive"},
	{"sns", "ends a report", "Unsubscribe DeleteTopic"},
	{"s3", logs, "PutBucketLogging PutBucketNotification PutBucketNotificationConfiguration DeleteBucketInventoryConfiguration"},
	{"rds", logs, "StopActivityStream ModifyActivityStream"},
	{"redshift", logs, "DisableLogging EnableLogging"},
	{"elb", logs, "ModifyLoadBalancerAttributes"},
	{"elbv2", logs, "ModifyLoadBalancerAttributes"},
	{"eks", logs, "UpdateClusterConfig"},
	{"cloudfront", logs, "DeleteRealtimeLogConfig UpdateRealtimeLogConfig CreateRealtimeLogConfig DeleteMonitoringSubscription"},
	{"*", logs, "DeleteLoggingConfiguration PutLoggingConfiguration UpdateLoggingConfiguration Delete*LoggingConfiguration Put*LoggingConfiguration Update*LoggingConfiguration PutLoggingOptions SetLoggingOptions SetV2LoggingOptions"},
	{"route53", logs, "DeleteQueryLoggingConfig CreateQueryLoggingConfig"},
	{"route53resolver", logs, "DeleteResolverQueryLogConfig DisassociateResolverQueryLogConfig"},
	{"mediastore", logs, "StopAccessLogging"},
	{"kinesis", watcher, "DisableEnhancedMonitoring"},
	{"kinesisanalytics", logs, "DeleteApplicationCloudWatchLoggingOption"},
	{"kinesisanalyticsv2", logs, "DeleteApplicationCloudWatchLoggingOption"},
	{"kafka", watcher, "UpdateMonitoring"},
	{"iot", watcher, "DeleteAccountAuditConfiguration UpdateAccountAuditConfiguration DeleteScheduledAudit UpdateScheduledAudit CreateAuditSuppression UpdateAuditSuppression CancelAuditTask DeleteV2LoggingLevel SetV2LoggingLevel"},
	{"iot-managed-integrations", logs, "DeleteEventLogConfiguration UpdateEventLogConfiguration PutRuntimeLogConfiguration ResetRuntimeLogConfiguration"},
	{"sagemaker", watcher, "DeleteMonitoringSchedule StopMonitoringSchedule UpdateMonitoringSchedule UpdateMonitoringAlert"},
	{"ds", logs, "DeleteLogSubscription"},
	{"vpc-lattice", logs, "DeleteAccessLogSubscription UpdateAccessLogSubscription"},
	{"workmail", logs, "DeleteEmailMonitoringConfiguration PutEmailMonitoringConfiguration"},
	{"workspaces-web", logs, "DeleteUserAccessLoggingSettings DisassociateUserAccessLoggingSettings UpdateUserAccessLoggingSettings DeleteSessionLogger DisassociateSessionLogger UpdateSessionLogger"},
	{"ssm", "changes how sessions are logged", "UpdateDocument UpdateDocumentDefaultVersion UpdateServiceSetting ResetServiceSetting"},
	{"shield", watcher, "DisableProactiveEngagement DeleteProtection DisableApplicationLayerAutomaticResponse"},
	{"bedrock", logs, "DeleteModelInvocationLoggingConfiguration PutModelInvocationLoggingConfiguration"},
	{"organizations", watcher, "DeregisterDelegatedAdministrator DisableAWSServiceAccess DetachPolicy DisablePolicyType LeaveOrganization"},
	{"oam", watcher, "DeleteLink DeleteSink"},
	{"rum", watcher, "DeleteRumMetricsDestination"},
}
