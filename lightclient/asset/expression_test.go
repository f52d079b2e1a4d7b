package asset

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestExpressionIsWrittenAsTheSpecificationHasIt(t *testing.T) {
	for want, e := range map[string]*Expression{
		`default_certification(ValidationArgs{no_certification:Empty{}})`: {},
		`default_certification(ValidationArgs{certification:Certification{no_request_certification:Empty{},response_certification:ResponseCertification{response_header_exclusions:ResponseHeaderList{headers:["Date"]}}}})`:                                                                                          responseExpression,
		`default_certification(ValidationArgs{certification:Certification{request_certification:RequestCertification{certified_request_headers:["Accept"],certified_query_parameters:["q"]},response_certification:ResponseCertification{certified_response_headers:ResponseHeaderList{headers:["Content-Type"]}}}})`: fullExpression,
		`default_certification(ValidationArgs{certification:Certification{request_certification:RequestCertification{certified_request_headers:[],certified_query_parameters:[]},response_certification:ResponseCertification{certified_response_headers:ResponseHeaderList{headers:["a","b"]}}}})`:                   {Scope: ScopeFull, RequestHeaders: []string{}, QueryParameters: []string{}, ResponseHeaders: []string{"a", "b"}},
	} {
		if got := e.String(); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
		parsed, err := ParseExpression(want)
		if err != nil {
			t.Errorf("%s: %v", want, err)
		} else if diff := cmp.Diff(e, parsed); diff != "" {
			t.Errorf("%s: %s", want, diff)
		}
	}
}

func TestExpressionAllowsWhitespaceAndAnyOrder(t *testing.T) {
	e, err := ParseExpression(" default_certification ( ValidationArgs { certification : Certification {\n\tresponse_certification: ResponseCertification{ certified_response_headers: ResponseHeaderList{ headers: [ \"Content-Type\" ] } },\n\trequest_certification: RequestCertification{ certified_query_parameters: [\"q\"], certified_request_headers: [\"Accept\"] } } } ) ")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(fullExpression, e); diff != "" {
		t.Error(diff)
	}
}

func TestExpressionRefusesWhatIsNotExact(t *testing.T) {
	good := fullExpression.String()
	response := responseExpression.String()
	for name, bad := range map[string]string{
		"empty":               "",
		"another function":    strings.Replace(good, "default_", "other_", 1),
		"text after it":       good + "x",
		"cut off":             good[:len(good)-1],
		"no alternatives":     "default_certification(ValidationArgs{})",
		"both alternatives":   strings.Replace(good, "ValidationArgs{", "ValidationArgs{no_certification:Empty{},", 1),
		"both kinds":          strings.Replace(good, "Certification{request", "Certification{no_request_certification:Empty{},request", 1),
		"no response":         "default_certification(ValidationArgs{certification:Certification{no_request_certification:Empty{}}})",
		"no request":          strings.Replace(response, "no_request_certification:Empty{},", "", 1),
		"repeated":            strings.Replace(response, "no_request_certification:Empty{},", "no_request_certification:Empty{},no_request_certification:Empty{},", 1),
		"unknown field":       strings.Replace(response, "no_request_certification", "some_request_certification", 1),
		"value of wrong type": strings.Replace(response, "Empty{}", "[]", 1),
		"no header list":      strings.Replace(response, `headers:["Date"]`, "", 1),
		"backslash":           strings.Replace(response, `"Date"`, `"Da\te"`, 1),
		"line break":          strings.Replace(response, `"Date"`, "\"Da\nte\"", 1),
		"open string":         strings.Replace(response, `"Date"`, `"Date`, 1),
		"comma at the end":    strings.Replace(response, `"Date"`, `"Date",`, 1),
		"too long":            strings.Replace(response, "Date", strings.Repeat("x", 20000), 1),
	} {
		if e, err := ParseExpression(bad); err == nil {
			t.Errorf("%s: accepted as %+v", name, e)
		}
	}
}

func FuzzParseExpression(f *testing.F) {
	f.Add(fullExpression.String())
	f.Add(responseExpression.String())
	f.Add((&Expression{}).String())
	f.Fuzz(func(t *testing.T, s string) {
		e, err := ParseExpression(s)
		if err != nil {
			return
		}
		again, err := ParseExpression(e.String())
		if err != nil {
			t.Fatalf("%q: the canonical form is refused: %v", s, err)
		}
		if again.String() != e.String() {
			t.Fatalf("%q: %q became %q", s, e, again)
		}
	})
}
