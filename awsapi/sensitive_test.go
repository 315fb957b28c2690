package awsapi_test

import "testing"

// Wisdom and Amazon Q in Connect answer at the same place. The older service's
// knowledge bases have nothing secret; which of the two answers, AWS knows.
func TestTwinsAnswersAreSecretToo(t *testing.T) {
	call, err := identify(identifier(t), request("GET", "wisdom.us-east-1.amazonaws.com", "/knowledgeBases"), nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(call.Twins) == 0 {
		t.Fatalf("%s:%s has no twin", call.Service, call.Operation)
	}
	for _, m := range call.Sensitive() {
		if m.Path == "knowledgeBaseSummaries.*.sourceConfiguration.managedSourceConfiguration.webCrawlerConfiguration.inclusionFilters" {
			return
		}
	}
	t.Errorf("%s:%s, %v: %v", call.Service, call.Operation, call.Twins, call.Sensitive())
}
