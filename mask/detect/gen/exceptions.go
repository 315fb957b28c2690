package main

// Rules that are not taken, and why.
var leaveOut = map[string]string{
	// They go by a name and an entropy alone, and take cursors, digests and ids.
	"generic-api-key": "generic", "facebook-access-token": "digits and any word",
	"sourcegraph-access-token": "any 40 hexadecimal digits", "hashicorp-tf-password": "generic",
	"kubernetes-secret-yaml": "takes whole documents", "curl-auth-header": "unbounded, command lines",
	"curl-auth-user": "unbounded, command lines", "nuget-config-password": "unbounded, by file name",
	"pkcs12-file": "by file name",
	// Identifiers, not secrets.
	"adobe-client-id": "identifier", "asana-client-id": "identifier", "bitbucket-client-id": "identifier",
	"discord-client-id": "identifier", "linkedin-client-id": "identifier", "messagebird-client-id": "identifier",
	"plaid-client-id": "identifier", "sendbird-access-id": "identifier",
	"flutterwave-public-key": "public", "sumologic-access-id": "identifier",
	// Ours instead (detectors in Go, rules/own.json).
	"aws-access-token": "ours", "aws-amazon-bedrock-api-key-long-lived": "ours",
	"aws-amazon-bedrock-api-key-short-lived": "ours", "private-key": "ours", "jwt": "ours", "jwt-base64": "ours",
	"github-app-token": "ours", "github-oauth": "ours", "github-pat": "ours", "github-refresh-token": "ours",
}

// Rules whose secret does not begin with a literal text: the keyword, or keywords with
// a space between them, and how many bytes of the match stand before it.
var override = map[string]rule{
	"azure-ad-client-secret": {Regex: `\b([a-zA-Z0-9_~.]{3}\dQ~[a-zA-Z0-9_~.-]{31,34})(?:[^\w~.-]|$)`, Keyword: "Q~", Lead: 4},
	"maxmind-license-key":    {Regex: `\b([A-Za-z0-9]{6}_[A-Za-z0-9]{29}_mmk)(?:[^\w+/=-]|$)`, Keyword: "_mmk", Lead: 36},
	"hashicorp-tf-api-token": {Regex: `([a-zA-Z0-9]{14}\.atlasv1\.[A-Za-z0-9\-_=]{60,70})`, Keyword: ".atlasv1.", Lead: 14},
	"microsoft-teams-webhook": {
		Regex: `\.webhook\.office\.com/webhookb2/([a-z0-9]{8}-(?:[a-z0-9]{4}-){3}[a-z0-9]{12}@[a-z0-9]{8}-(?:[a-z0-9]{4}-){3}[a-z0-9]{12}/IncomingWebhook/[a-z0-9]{32}/[a-z0-9]{8}-(?:[a-z0-9]{4}-){3}[a-z0-9]{12})`,
	},
	"sidekiq-sensitive-url": {
		Regex:   `\b([a-f0-9]{8}:[a-f0-9]{8})@(?:gems|enterprise)\.contribsys\.com`,
		Keyword: "@gems.contribsys.com @enterprise.contribsys.com", Lead: 17,
	},
	"slack-webhook-url":   {Regex: `hooks\.slack\.com/(?:services|workflows|triggers)/([A-Za-z0-9+/]{43,56})`},
	"freemius-secret-key": {Regex: `(?i)["']secret_key["']\s{0,8}=>\s{0,8}["'](sk_\S{29})["']`},
	"openai-api-key": {
		Regex: `\b(sk-(?:proj|svcacct|admin)-(?:[A-Za-z0-9_-]{74}|[A-Za-z0-9_-]{58})T3BlbkFJ(?:[A-Za-z0-9_-]{74}|[A-Za-z0-9_-]{58})|sk-[a-zA-Z0-9]{20}T3BlbkFJ[a-zA-Z0-9]{20})(?:[^\w+/=-]|$)`,
	},
	// Not only where the vendor's name stands in the same file.
	"airtable-personnal-access-token": {Regex: `\b(pat[[:alnum:]]{14}\.[a-f0-9]{64})(?:[^\w+/=-]|$)`},
}
