package class

const (
	shell    = "opens a shell or a screen whose contents nobody judges"
	commands = "runs commands or code that the request carries"
	plants   = "plants a key for logging in"
)

// opensSession open channels, or run what the request carries, where the gateway
// does not see it.
var opensSession = table{
	{"ssm", shell, "StartSession ResumeSession"},
	{"ssm", commands, "SendCommand StartAutomationExecution StartChangeRequestExecution CreateAssociation"},
	{"ssm-guiconnect", shell, "*"},
	{"ecs", shell, "ExecuteCommand"},
	{"ec2-instance-connect", plants, "SendSSHPublicKey SendSerialConsoleSSHPublicKey"},
	{"ec2", plants, "ImportKeyPair"},
	{"ec2", shell, "EnableSerialConsoleAccess CreateInstanceConnectEndpoint"},
	{"lightsail", plants, "ImportKeyPair"},
	{"lightsail", shell, "GetInstanceAccessDetails CreateGUISessionAccessDetails StartGUISession"},
	{"transfer", plants, "ImportSshPublicKey"},
	{"eks", shell, "RegisterCluster"},
	{"bedrock-agentcore", shell, "StartCodeInterpreterSession StartBrowserSession GetBrowserSession InvokeBrowser"},
	{"bedrock-agentcore", commands, "InvokeCodeInterpreter InvokeAgentRuntimeCommand InvokeAgentRuntime InvokeHarness"},
	{"iotsecuretunneling", shell, "OpenTunnel RotateTunnelAccessToken"},
	{"sagemaker", shell, "StartSession StartNotebookInstance CreateNotebookInstance CreatePresignedNotebookInstanceUrl CreateApp"},
	{"codecatalyst", shell, "StartDevEnvironmentSession StartDevEnvironment"},
	{"codebuild", shell, "StartSandbox StartSandboxConnection"},
	{"codebuild", commands, "StartCommandExecution"},
	{"cloud9", shell, "CreateEnvironmentEC2 CreateEnvironmentMembership"},
	{"athena", commands, "StartSession StartCalculationExecution CreateNotebook ImportNotebook"},
	{"emr", commands, "AddJobFlowSteps StartNotebookExecution"},
	{"emr", shell, "CreateStudioSessionMapping"},
	{"emr-serverless", commands, "StartSession StartJobRun"},
	{"emr-containers", commands, "StartJobRun"},
	{"glue", commands, "CreateSession RunStatement CreateDevEndpoint"},
	{"databrew", shell, "StartProjectSession"},
	{"datazone", commands, "CreateNotebook StartNotebookRun"},
	{"devicefarm", shell, "CreateRemoteAccessSession"},
	{"appstream", shell, "CreateStreamingURL"},
	{"gameliftstreams", shell, "StartStreamSession CreateStreamSessionConnection"},
	{"nova-act", shell, "CreateSession InvokeActStep"},
	{"mwaa", commands, "InvokeRestApi"},
	{"gamelift", shell, "GetComputeAccess GetInstanceAccess"},
	{"deadline", commands, "CreateJob"},
	{"datapipeline", commands, "PutPipelineDefinition"},
}
