package jit

// guard is what an explicit Deny keeps out of the wide scopes of one IAM prefix.
type guard struct {
	prefix  string
	actions []string // may end in or hold `*`; too much denied is no danger
	reason  string
	// core rows are in scope role too. The rest do not fit into 2,048 characters there,
	// and are not what a service that acts for its caller can be told to do.
	core bool
}

const (
	givesKeys   = "hands out AWS credentials"
	givesTokens = "hands out a bearer token or login"
	givesRights = "gives rights to others or to itself"
)

// guards are IAM actions that would turn a wide credential into an escape: a
// template that creates an access key, a role that is given more rights. A test
// compares them with the operations that awsapi classes as handing out
// credentials.
var guards = []guard{
	{"sts", []string{"*"}, givesKeys, true}, // GetCallerIdentity needs no permission and cannot be denied
	{"iam", []string{"*AccessKey", "*LoginProfile", "ChangePassword", "*ServiceSpecificCredential", "CreateVirtualMFADevice", "Upload*"}, givesKeys, true},
	{"iam", []string{"Put*", "Attach*", "Add*", "CreatePolicyVersion", "SetDefaultPolicyVersion", "UpdateAssumeRolePolicy", "Delete*Boundary", "*Provider*"}, givesRights, true},
	{"sso", []string{"GetRoleCredentials"}, givesKeys, true},
	{"sso-oauth", []string{"*"}, givesTokens, true},
	{"signin", []string{"*"}, givesTokens, true},
	{"eks-auth", []string{"*"}, givesKeys, true},
	{"s3express", []string{"CreateSession"}, givesKeys, true},
	{"s3", []string{"GetDataAccess"}, givesKeys, true},
	{"cognito-identity", []string{"GetCredentials*", "GetOpenId*"}, givesKeys, true},
	{"lakeformation", []string{"GetDataAccess", "GetTemporary*"}, givesKeys, true},
	{"lightsail", []string{"*AccessKey*", "*KeyPair*", "*RegistryLogin", "*SessionAccess*", "GetInstanceAccess*", "*Password"}, givesKeys, false},
	{"ssm", []string{"CreateActivation", "GetAccessToken", "ResumeSession", "StartSession"}, givesTokens, true},
	{"ec2-instance-connect", []string{"Send*"}, givesTokens, true},
	{"ec2", []string{"CreateKeyPair", "GetPasswordData"}, givesTokens, true},
	{"ecs", []string{"ExecuteCommand"}, givesTokens, true},
	{"iot", []string{"CreateCertificateFromCsr", "CreateKeysAndCertificate", "CreateProvisioningClaim", "OpenTunnel", "RegisterThing", "RotateTunnelAccessToken"}, givesKeys, false},
	{"datazone", []string{"GetConnection", "GetEnvironmentCredentials", "GetIamPortalLoginUrl"}, givesKeys, false},
	{"deadline", []string{"Assume*"}, givesKeys, false},
	{"gamelift", []string{"CreateBuild", "RequestUploadCredentials", "GetComputeA*", "GetInstanceAccess"}, givesKeys, false},
	{"codepipeline", []string{"Get*JobDetails", "PollFor*"}, givesKeys, false},
	{"finspace-api", []string{"*"}, givesKeys, false},
	{"finspace", []string{"ResetUserPassword"}, givesTokens, false},
	{"acm", []string{"ExportCertificate"}, givesTokens, false},
	{"appstream", []string{"Create*StreamingURL"}, givesTokens, false},
	{"athena", []string{"CreatePresigned*", "GetSessionEndpoint"}, givesTokens, false},
	{"bedrock-agentcore", []string{"GetWorkloadAccessToken*", "GetResource*", "CompleteResourceTokenAuth", "StartBrowserSession"}, givesTokens, false},
	{"codeartifact", []string{"GetAuthorizationToken"}, givesTokens, false},
	{"cognito-idp", []string{"*Auth", "*AuthChallenge", "GetTokens*", "*Password"}, givesTokens, false},
	{"connect", []string{"CreateParticipant", "GetFederationToken", "StartChatContact", "StartWebRTCContact"}, givesTokens, false},
	{"ecr", []string{"GetAuthorizationToken", "GetDownloadUrlForLayer"}, givesTokens, false},
	{"ecr-public", []string{"GetAuthorizationToken"}, givesTokens, false},
	{"elasticmapreduce", []string{"GetClusterSessionCredentials", "*PresignedURL"}, givesTokens, false},
	{"emr-containers", []string{"GetManagedEndpointSessionCredentials"}, givesTokens, false},
	{"emr-serverless", []string{"GetDashboardForJobRun", "GetSessionEndpoint"}, givesTokens, false},
	{"license-manager", []string{"CreateToken", "GetAccessToken"}, givesTokens, false},
	{"qbusiness", []string{"CreateAnonymous*"}, givesTokens, false},
	{"quicksight", []string{"*EmbedUrl*", "GetIdentityContext"}, givesTokens, false},
	{"redshift", []string{"GetClusterCredentials*", "GetIdentityCenter*"}, givesTokens, false},
	{"redshift-serverless", []string{"GetCredentials", "GetIdentityCenter*"}, givesTokens, false},
	{"sagemaker", []string{"Create*Presigned*", "StartSession"}, givesTokens, false},
	{"snowball", []string{"GetJobManifest", "GetJobUnlockCode"}, givesTokens, false},
	{"transfer", []string{"ImportSshPublicKey"}, givesTokens, false},
	{"workmail", []string{"AssumeImpersonationRole", "ResetPassword"}, givesTokens, false},
	{"airflow", []string{"Create*Token"}, givesTokens, false},
	{"amplifyuibuilder", []string{"ExchangeCodeForToken", "RefreshToken"}, givesTokens, false},
	{"aws-marketplace", []string{"GetBuyerDashboard"}, givesTokens, false},
	{"chime", []string{"*Attendee*", "CreateBot", "RegenerateSecurityToken"}, givesTokens, false},
	{"codebuild", []string{"StartSandboxConnection"}, givesTokens, false},
	{"ds", []string{"ResetUserPassword"}, givesTokens, false},
	{"elasticache", []string{"CreateUser", "ModifyUser"}, givesTokens, false},
	{"grafana", []string{"CreateWorkspaceApiKey", "CreateWorkspaceServiceAccountToken"}, givesTokens, false},
	{"iotmanagedintegrations", []string{"CreateProvisioningProfile"}, givesKeys, false},
	{"ivs", []string{"CreateParticipantToken", "CreateStage"}, givesTokens, false},
	{"ivschat", []string{"CreateChatToken"}, givesTokens, false},
	{"kinesisanalytics", []string{"CreateApplicationPresignedUrl"}, givesTokens, false},
	{"kinesisvideo", []string{"Get*StreamingSessionURL", "GetIceServerConfig"}, givesTokens, false},
	{"memorydb", []string{"CreateUser", "UpdateUser"}, givesTokens, false},
	{"mq", []string{"CreateUser", "UpdateUser"}, givesTokens, false},
	{"pca-connector-scep", []string{"*Challenge*"}, givesTokens, false},
	{"pcs", []string{"RegisterComputeNodeGroupInstance"}, givesTokens, false},
	{"qapps", []string{"CreatePresignedUrl"}, givesTokens, false},
	{"route53domains", []string{"RetrieveDomainAuthCode", "TransferDomainToAnotherAwsAccount"}, givesTokens, false},
	{"storagegateway", []string{"SetLocalConsolePassword", "SetSMBGuestPassword"}, givesTokens, false},
}
