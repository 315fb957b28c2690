package class

const (
	secretValue = "answers with a stored secret"
	plainKey    = "answers with plaintext or a plaintext key"
	apiKeys     = "answers with keys or passwords of the customer's own API or device"
	idpSecret   = "answers with a client secret of an identity provider or pool"
	environment = "answers with environment or launch data in which secrets are kept"
)

// readsSecrets answer with secrets that masking takes out where the catalog marks
// them. They are everyday calls, so they are not refused as credentials are.
var readsSecrets = table{
	{"secretsmanager", secretValue, "GetSecretValue BatchGetSecretValue"},
	{"secretsmanager", "answers with a new password that nothing uses yet", "GetRandomPassword"},
	{"ssm", secretValue, "GetParameter GetParameters GetParametersByPath GetParameterHistory"},
	{"kms", plainKey, "Decrypt GenerateDataKey* DeriveSharedSecret GenerateRandom"},
	{"payment-cryptography-data", plainKey, "DecryptData TranslateKeyMaterial"},
	{"payment-cryptography", plainKey, "ExportKey"},
	{"sts", "answers with what an authorization message hides", "DecodeAuthorizationMessage"},
	{"lambda", environment, "GetFunction GetFunctionConfiguration ListFunctions ListVersionsByFunction UpdateFunctionConfiguration UpdateFunctionCode CreateFunction PublishVersion"},
	{"ec2", environment, "DescribeInstanceAttribute DescribeLaunchTemplateVersions GetLaunchTemplateData GetConsoleOutput GetConsoleScreenshot"},
	{"ec2", idpSecret, "ExportVerifiedAccessInstanceClientConfiguration *VerifiedAccessTrustProvider DescribeVerifiedAccessTrustProviders"},
	{"ec2", "answers with a VPN's shared key", "CreateVpnConnection DescribeVpnConnections ModifyVpn* ExportClientVpnClientConfiguration GetVpnConnectionDeviceSampleConfiguration"},
	{"autoscaling", environment, "DescribeLaunchConfigurations"},
	{"ecs", environment, "DescribeTaskDefinition RegisterTaskDefinition DescribeTasks DeregisterTaskDefinition"},
	{"batch", environment, "DescribeJobDefinitions DescribeJobs"},
	{"codebuild", environment, "BatchGetProjects BatchGetBuilds CreateProject UpdateProject CreateWebhook UpdateWebhook"},
	{"codepipeline", environment, "GetPipeline GetPipelineState ListWebhooks"},
	{"elasticbeanstalk", environment, "DescribeConfigurationSettings"},
	{"apprunner", environment, "DescribeService"},
	{"amplify", "answers with basic-auth credentials of a site", "*App ListApps *Branch ListBranches"},
	{"cognito-idp", idpSecret, "CreateUserPoolClient UpdateUserPoolClient DescribeUserPoolClient AddUserPoolClientSecret ListUserPoolClientSecrets DescribeIdentityProvider CreateIdentityProvider UpdateIdentityProvider"},
	{"cognito-idp", "answers with a second factor's seed", "AssociateSoftwareToken"},
	{"elbv2", idpSecret, "CreateListener CreateRule DescribeListeners DescribeRules ModifyListener ModifyRule SetRulePriorities"},
	{"wickr", idpSecret, "GetOidcInfo GetOpentdfConfig RegisterOidcConfig* RegisterOpentdfConfig"},
	{"apigateway", apiKeys, "CreateApiKey GetApiKey GetApiKeys CreateUsagePlanKey GetUsagePlanKey GetUsagePlanKeys UpdateApiKey ImportApiKeys"},
	{"appsync", apiKeys, "CreateApiKey ListApiKeys UpdateApiKey"},
	{"wafv2", apiKeys, "CreateAPIKey ListAPIKeys"},
	{"location", apiKeys, "CreateKey DescribeKey"},
	{"mediapackage", apiKeys, "ConfigureLogs CreateChannel CreateOriginEndpoint DescribeChannel DescribeOriginEndpoint ListChannels ListOriginEndpoints RotateChannelCredentials RotateIngestEndpointCredentials UpdateChannel UpdateOriginEndpoint"},
	{"mediapackage-vod", apiKeys, "ConfigureLogs CreatePackagingGroup DescribePackagingGroup ListPackagingGroups UpdatePackagingGroup"},
	{"mediaconvert", apiKeys, "*Job* *Preset *Presets *JobTemplate *JobTemplates"},
	{"medialive", apiKeys, "*Channel *ChannelClass RestartChannelPipelines"},
	{"mediaconnect", apiKeys, "DescribeFlow"},
	{"ivs", apiKeys, "BatchGetChannel CreateChannel GetChannel GetStreamSession UpdateChannel CreateStreamKey GetStreamKey BatchGetStreamKey"},
	{"storagegateway", apiKeys, "DescribeChapCredentials"},
	{"chime", apiKeys, "GetBot ListBots UpdateBot"},
	{"chime-sdk-identity", apiKeys, "DescribeAppInstanceUserEndpoint"},
	{"dataexchange", apiKeys, "CreateJob GetJob ListJobs GetAsset ListRevisionAssets UpdateAsset"},
	{"datasync", apiKeys, "DescribeLocationFsxOntap DescribeLocationFsxOpenZfs"},
	{"datazone", apiKeys, "CreateConnection ListConnections UpdateConnection"},
	{"devops-agent", apiKeys, "AssociateService UpdateAssociation"},
	{"dms", dbLogin, "CreateEndpoint DeleteEndpoint DescribeEndpoints ModifyEndpoint"},
	{"glue", dbLogin, "GetConnection GetConnections GetJob GetJobs BatchGetJobs GetDevEndpoint GetDevEndpoints"},
	{"emr", dbLogin, "DescribeCluster"},
	{"appmesh", "answers with where a private key lies", "*VirtualGateway *VirtualNode"},
	{"appstream", "answers with a directory account's password", "CreateDirectoryConfig DescribeDirectoryConfigs UpdateDirectoryConfig"},
	{"ds", "answers with a shared secret", "DescribeDirectories"},
	{"lightsail", dbLogin, "GetRelationalDatabase GetRelationalDatabases"},
	{"invoicing", "answers with a shared secret", "GetProcurementPortalPreference"},
	{"iotwireless", "answers with a private key", "AssociateAwsAccountWithPartnerAccount"},
	{"iot", "answers with tokens of a rule's destinations", "GetTopicRule"},
	{"cloudhsmv2", "answers with a module's first password", "CreateCluster DeleteCluster DescribeClusters ModifyCluster"},
	{"connecthealth", "answers with a token of another system", "GetPatientInsightsJob"},
	{"securityagent", "answers with a token of another system", "BatchGetTargetDomains CreateTargetDomain UpdateTargetDomain"},
	{"route53globalresolver", "answers with a token for encrypted DNS", "CreateAccessToken GetAccessToken"},
	{"lexv2-models", "answers with an archive's password", "*BotRecommendation"},
}
