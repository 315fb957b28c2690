package approvals

// phrase is how an operation is told: a verb, and what it is done to.
type phrase struct {
	verb  string
	noun  string // singular
	kind  string // IAM's type of the resources that the noun stands for, as in event.Resource
	count string // parameter with how many; then resources are not counted
}

// plural is for nouns in this table, which all take an s, ies or es.
func (p phrase) plural() string {
	n := len(p.noun)
	switch p.noun[n-1] {
	case 'y':
		if c := p.noun[n-2]; c != 'e' { // keys, policies
			return p.noun[:n-1] + "ies"
		}
	case 's', 'x':
		return p.noun + "es"
	}
	return p.noun + "s"
}

// phrases are operations that people are often asked about, where the name alone
// says too little of what happens. Every other one is told by its name.
var phrases = map[string]phrase{
	"ec2:TerminateInstances":            {verb: "terminate", noun: "instance", kind: "instance"},
	"ec2:StopInstances":                 {verb: "stop", noun: "instance", kind: "instance"},
	"ec2:StartInstances":                {verb: "start", noun: "instance", kind: "instance"},
	"ec2:RebootInstances":               {verb: "reboot", noun: "instance", kind: "instance"},
	"ec2:RunInstances":                  {verb: "launch", noun: "instance", kind: "instance", count: "MaxCount"},
	"ec2:ModifyInstanceAttribute":       {verb: "change a setting of", noun: "instance", kind: "instance"},
	"ec2:AuthorizeSecurityGroupIngress": {verb: "open inbound access in", noun: "security group", kind: "security-group"},
	"ec2:AuthorizeSecurityGroupEgress":  {verb: "open outbound access in", noun: "security group", kind: "security-group"},
	"ec2:RevokeSecurityGroupIngress":    {verb: "close inbound access in", noun: "security group", kind: "security-group"},
	"ec2:DeleteSecurityGroup":           {verb: "delete", noun: "security group", kind: "security-group"},
	"ec2:DeleteVolume":                  {verb: "delete", noun: "disk volume", kind: "volume"},
	"ec2:DeleteSnapshot":                {verb: "delete", noun: "disk snapshot", kind: "snapshot"},
	"ec2:ModifySnapshotAttribute":       {verb: "change who may use", noun: "disk snapshot", kind: "snapshot"},
	"ec2:ModifyImageAttribute":          {verb: "change who may use", noun: "machine image", kind: "image"},
	"ec2:DeregisterImage":               {verb: "remove", noun: "machine image", kind: "image"},

	"s3:GetObject":               {verb: "read", noun: "object", kind: "object"},
	"s3:PutObject":               {verb: "write", noun: "object", kind: "object"},
	"s3:DeleteObject":            {verb: "delete", noun: "object", kind: "object"},
	"s3:DeleteObjects":           {verb: "delete", noun: "object", kind: "object"},
	"s3:PutObjectAcl":            {verb: "change who may use", noun: "object", kind: "object"},
	"s3:DeleteBucket":            {verb: "delete", noun: "bucket", kind: "bucket"},
	"s3:PutBucketPolicy":         {verb: "replace the policy (who may use it) of", noun: "bucket", kind: "bucket"},
	"s3:DeleteBucketPolicy":      {verb: "remove the policy of", noun: "bucket", kind: "bucket"},
	"s3:PutBucketAcl":            {verb: "change who may use", noun: "bucket", kind: "bucket"},
	"s3:PutPublicAccessBlock":    {verb: "change the block of public access of", noun: "bucket", kind: "bucket"},
	"s3:DeletePublicAccessBlock": {verb: "remove the block of public access of", noun: "bucket", kind: "bucket"},

	"s3:PutBucketLifecycleConfiguration": {verb: "replace the rules that expire objects of", noun: "bucket", kind: "bucket"},

	"iam:PutRolePolicy":          {verb: "put a policy (new permissions) on", noun: "role", kind: "role"},
	"iam:PutUserPolicy":          {verb: "put a policy (new permissions) on", noun: "user", kind: "user"},
	"iam:PutGroupPolicy":         {verb: "put a policy (new permissions) on", noun: "group", kind: "group"},
	"iam:AttachRolePolicy":       {verb: "attach a policy (new permissions) to", noun: "role", kind: "role"},
	"iam:AttachUserPolicy":       {verb: "attach a policy (new permissions) to", noun: "user", kind: "user"},
	"iam:AttachGroupPolicy":      {verb: "attach a policy (new permissions) to", noun: "group", kind: "group"},
	"iam:UpdateAssumeRolePolicy": {verb: "change who may assume", noun: "role", kind: "role"},
	"iam:CreatePolicyVersion":    {verb: "change what is permitted by", noun: "policy", kind: "policy"},
	"iam:CreateAccessKey":        {verb: "create a long-lived access key of", noun: "user", kind: "user"},
	"iam:CreateLoginProfile":     {verb: "set a console password for", noun: "user", kind: "user"},
	"iam:UpdateLoginProfile":     {verb: "change the console password of", noun: "user", kind: "user"},
	"iam:AddUserToGroup":         {verb: "add a user to", noun: "group", kind: "group"},
	"iam:DeleteRole":             {verb: "delete", noun: "role", kind: "role"},
	"iam:DeleteUser":             {verb: "delete", noun: "user", kind: "user"},
	"sts:AssumeRole":             {verb: "get credentials of", noun: "role", kind: "role"},

	"kms:ScheduleKeyDeletion":          {verb: "schedule the deletion of", noun: "encryption key", kind: "key"},
	"kms:DisableKey":                   {verb: "disable", noun: "encryption key", kind: "key"},
	"kms:PutKeyPolicy":                 {verb: "replace the policy (who may use it) of", noun: "encryption key", kind: "key"},
	"kms:CreateGrant":                  {verb: "let others use", noun: "encryption key", kind: "key"},
	"secretsmanager:GetSecretValue":    {verb: "read the value of", noun: "secret", kind: "Secret"},
	"secretsmanager:PutSecretValue":    {verb: "replace the value of", noun: "secret", kind: "Secret"},
	"secretsmanager:DeleteSecret":      {verb: "delete", noun: "secret", kind: "Secret"},
	"secretsmanager:PutResourcePolicy": {verb: "replace the policy (who may use it) of", noun: "secret", kind: "Secret"},
	"ssm:SendCommand":                  {verb: "run a command on", noun: "instance", kind: "instance"},
	"ssm:StartSession":                 {verb: "open a shell on", noun: "instance", kind: "instance"},
	"ssm:PutParameter":                 {verb: "write", noun: "parameter", kind: "parameter"},
	"ssm:GetParameter":                 {verb: "read", noun: "parameter", kind: "parameter"},

	"dynamodb:DeleteTable": {verb: "delete", noun: "table", kind: "table"},
	"dynamodb:DeleteItem":  {verb: "delete an item of", noun: "table", kind: "table"},
	"dynamodb:PutItem":     {verb: "write an item into", noun: "table", kind: "table"},
	"dynamodb:UpdateItem":  {verb: "change an item of", noun: "table", kind: "table"},

	"rds:DeleteDBInstance":          {verb: "delete", noun: "database instance", kind: "db"},
	"rds:StopDBInstance":            {verb: "stop", noun: "database instance", kind: "db"},
	"rds:ModifyDBInstance":          {verb: "change settings of", noun: "database instance", kind: "db"},
	"rds:DeleteDBCluster":           {verb: "delete", noun: "database cluster", kind: "cluster"},
	"rds:DeleteDBSnapshot":          {verb: "delete", noun: "database snapshot", kind: "snapshot"},
	"rds:ModifyDBSnapshotAttribute": {verb: "change who may use", noun: "database snapshot", kind: "snapshot"},

	"lambda:CreateFunction":     {verb: "create", noun: "function", kind: "function"},
	"lambda:UpdateFunctionCode": {verb: "replace the code of", noun: "function", kind: "function"},
	"lambda:DeleteFunction":     {verb: "delete", noun: "function", kind: "function"},
	"lambda:Invoke":             {verb: "run", noun: "function", kind: "function"},
	"lambda:AddPermission":      {verb: "let others run", noun: "function", kind: "function"},

	"cloudformation:CreateStack":      {verb: "create", noun: "stack", kind: "stack"},
	"cloudformation:UpdateStack":      {verb: "update", noun: "stack", kind: "stack"},
	"cloudformation:DeleteStack":      {verb: "delete with all that it made", noun: "stack", kind: "stack"},
	"cloudformation:ExecuteChangeSet": {verb: "carry out a change set of", noun: "stack", kind: "stack"},

	"cloudtrail:StopLogging":             {verb: "stop the audit log of", noun: "trail", kind: "trail"},
	"cloudtrail:DeleteTrail":             {verb: "delete the audit log", noun: "trail", kind: "trail"},
	"logs:DeleteLogGroup":                {verb: "delete with all its logs", noun: "log group", kind: "log-group"},
	"route53:ChangeResourceRecordSets":   {verb: "change DNS records of", noun: "hosted zone", kind: "hostedzone"},
	"route53:DeleteHostedZone":           {verb: "delete", noun: "hosted zone", kind: "hostedzone"},
	"eks:DeleteCluster":                  {verb: "delete", noun: "Kubernetes cluster", kind: "cluster"},
	"ecs:DeleteService":                  {verb: "delete", noun: "service", kind: "service"},
	"ecs:UpdateService":                  {verb: "change", noun: "service", kind: "service"},
	"ecr:DeleteRepository":               {verb: "delete", noun: "image repository", kind: "repository"},
	"autoscaling:SetDesiredCapacity":     {verb: "change how many instances run in", noun: "Auto Scaling group", kind: "autoScalingGroup"},
	"autoscaling:DeleteAutoScalingGroup": {verb: "delete", noun: "Auto Scaling group", kind: "autoScalingGroup"},
	"sns:Publish":                        {verb: "publish a message to", noun: "topic", kind: "topic"},
	"sqs:SendMessage":                    {verb: "send a message to", noun: "queue", kind: "queue"},
	"sqs:PurgeQueue":                     {verb: "delete all messages of", noun: "queue", kind: "queue"},
	"sqs:DeleteQueue":                    {verb: "delete", noun: "queue", kind: "queue"},
}
