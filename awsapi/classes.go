package awsapi

// classesOf returns the classes of an operation, sorted.
func classesOf(service, operation string) []Class {
	if _, ok := handsOutCredentials[service][operation]; ok {
		return []Class{HandsOutCredentials}
	}
	return nil
}

const (
	awsKeys   = "answers with AWS credentials"
	longKeys  = "makes or returns a key that outlives every control"
	bearer    = "answers with a bearer token that works outside the gateway"
	dbLogin   = "answers with a database or cluster login"
	userLogin = "answers with a user's login or session tokens"
	otherKeys = "answers with credentials of another system"
)

// handsOutCredentials are the operations after which an agent no longer needs
// the gateway, with the reason. sts:GetCallerIdentity hands out nothing, and
// secretsmanager:GetSecretValue hands out a secret, which masking covers.
var handsOutCredentials = map[string]map[string]string{
	"sts": {
		"AssumeRole": awsKeys, "AssumeRoleWithSAML": awsKeys, "AssumeRoleWithWebIdentity": awsKeys, "AssumeRoot": awsKeys,
		"GetSessionToken": awsKeys, "GetFederationToken": awsKeys, "GetDelegatedAccessToken": awsKeys, "GetWebIdentityToken": bearer,
	},
	"iam": {
		"CreateAccessKey": longKeys, "UpdateAccessKey": "can bring a leaked key back to life", "CreateLoginProfile": longKeys,
		"UpdateLoginProfile": longKeys, "ChangePassword": longKeys, "CreateServiceSpecificCredential": longKeys,
		"ResetServiceSpecificCredential": longKeys, "CreateVirtualMFADevice": longKeys, "UploadSSHPublicKey": longKeys, "UploadSigningCertificate": longKeys,
	},
	"sso":              {"GetRoleCredentials": awsKeys},
	"sso-oidc":         {"CreateToken": bearer, "CreateTokenWithIAM": bearer, "RegisterClient": bearer, "StartDeviceAuthorization": bearer},
	"signin":           {"CreateOAuth2Token": bearer},
	"eks-auth":         {"AssumeRoleForPodIdentity": awsKeys},
	"s3":               {"CreateSession": awsKeys},
	"s3control":        {"GetDataAccess": awsKeys},
	"cognito-identity": {"GetCredentialsForIdentity": awsKeys, "GetOpenIdToken": bearer, "GetOpenIdTokenForDeveloperIdentity": bearer},
	"cognito-idp": {
		"InitiateAuth": userLogin, "AdminInitiateAuth": userLogin, "RespondToAuthChallenge": userLogin, "AdminRespondToAuthChallenge": userLogin,
		"GetTokensFromRefreshToken": userLogin,
	},
	"ecr":                  {"GetAuthorizationToken": bearer},
	"ecr-public":           {"GetAuthorizationToken": bearer},
	"codeartifact":         {"GetAuthorizationToken": bearer},
	"lightsail":            {"CreateContainerServiceRegistryLogin": otherKeys, "CreateBucketAccessKey": longKeys, "GetBucketAccessKeys": longKeys, "GetInstanceAccessDetails": otherKeys, "DownloadDefaultKeyPair": otherKeys, "CreateKeyPair": otherKeys, "GetRelationalDatabaseMasterUserPassword": dbLogin},
	"redshift":             {"GetClusterCredentials": dbLogin, "GetClusterCredentialsWithIAM": dbLogin, "GetIdentityCenterAuthToken": bearer},
	"redshift-serverless":  {"GetCredentials": dbLogin, "GetIdentityCenterAuthToken": bearer},
	"lakeformation":        {"GetTemporaryGlueTableCredentials": awsKeys, "GetTemporaryGluePartitionCredentials": awsKeys, "GetTemporaryDataLocationCredentials": awsKeys, "AssumeDecoratedRoleWithSAML": awsKeys},
	"datazone":             {"GetEnvironmentCredentials": awsKeys, "GetConnection": awsKeys, "GetIamPortalLoginUrl": bearer},
	"finspace-data":        {"GetProgrammaticAccessCredentials": awsKeys, "GetExternalDataViewAccessDetails": awsKeys, "ResetUserPassword": userLogin},
	"emr":                  {"GetClusterSessionCredentials": dbLogin},
	"emr-containers":       {"GetManagedEndpointSessionCredentials": bearer},
	"athena":               {"GetSessionEndpoint": bearer},
	"deadline":             {"AssumeFleetRoleForRead": awsKeys, "AssumeFleetRoleForWorker": awsKeys, "AssumeQueueRoleForRead": awsKeys, "AssumeQueueRoleForUser": awsKeys, "AssumeQueueRoleForWorker": awsKeys},
	"gamelift":             {"CreateBuild": awsKeys, "RequestUploadCredentials": awsKeys, "GetComputeAccess": awsKeys, "GetComputeAuthToken": bearer, "GetInstanceAccess": otherKeys},
	"codepipeline":         {"PollForJobs": awsKeys, "GetJobDetails": awsKeys, "GetThirdPartyJobDetails": awsKeys, "PollForThirdPartyJobs": bearer},
	"ssm":                  {"GetAccessToken": awsKeys, "StartSession": bearer, "ResumeSession": bearer, "CreateActivation": longKeys},
	"bedrock-agentcore":    {"GetWorkloadAccessToken": bearer, "GetWorkloadAccessTokenForJWT": bearer, "GetWorkloadAccessTokenForUserId": bearer, "GetResourceOauth2Token": bearer, "GetResourceApiKey": otherKeys, "CompleteResourceTokenAuth": bearer, "StartBrowserSession": bearer},
	"connect":              {"GetFederationToken": bearer},
	"workmail":             {"AssumeImpersonationRole": bearer},
	"license-manager":      {"CreateToken": bearer, "GetAccessToken": bearer},
	"iot":                  {"CreateKeysAndCertificate": longKeys, "CreateProvisioningClaim": longKeys, "CreateCertificateFromCsr": longKeys, "RegisterThing": longKeys},
	"snowball":             {"GetJobUnlockCode": otherKeys, "GetJobManifest": otherKeys},
	"emr-serverless":       {"GetDashboardForJobRun": bearer},
	"sagemaker":            {"CreatePartnerAppPresignedUrl": bearer, "CreateHubContentPresignedUrls": bearer, "CreatePresignedDomainUrl": bearer, "CreatePresignedNotebookInstanceUrl": bearer, "CreatePresignedMlflowTrackingServerUrl": bearer},
	"appstream":            {"CreateStreamingURL": bearer, "CreateImageBuilderStreamingURL": bearer},
	"ec2-instance-connect": {"SendSSHPublicKey": longKeys, "SendSerialConsoleSSHPublicKey": longKeys},
	"quicksight":           {"GetIdentityContext": bearer},
	"transfer":             {"ImportSshPublicKey": longKeys},
	"qbusiness":            {"CreateAnonymousWebExperienceUrl": bearer},
	"ec2":                  {"CreateKeyPair": otherKeys, "GetPasswordData": otherKeys},
	"acm":                  {"ExportCertificate": longKeys},
	"ecs":                  {"ExecuteCommand": bearer},
}
