package step

import (
	"fmt"
	"reflect"
	"strings"
	"time"
	"unicode"
)

// Contract is what a program promises to whoever calls it. It is read from the
// tags of the program's config struct and printed by `<step> contract`; the
// StepActions, the Tasks and the tables of the documents are made from it.
type Contract struct {
	Name        string      `json:"name"`
	About       string      `json:"about"`
	Params      []Param     `json:"params,omitempty"`
	Workspaces  []Workspace `json:"workspaces,omitempty"`
	Results     []Result    `json:"results"`
	Credentials bool        `json:"credentials,omitempty"` // reads what Tekton lays out under $(credentials.path)
}

// Param is a value that the caller gives.
type Param struct {
	Name     string `json:"name"`
	Env      string `json:"env"`
	Type     string `json:"type"` // string, bool, int, duration, list (one item per line)
	Default  string `json:"default"`
	Required bool   `json:"required,omitempty"`
	About    string `json:"about"`
}

// Workspace is a folder that the caller gives.
type Workspace struct {
	Name     string `json:"name"`
	Env      string `json:"env"`
	Required bool   `json:"required,omitempty"`
	About    string `json:"about"`
}

// Result is a value that the program hands on: a text, or a JSON object of
// texts, which Tekton tells apart by looking at what was written.
type Result struct {
	Name       string   `json:"name"`
	Env        string   `json:"env"`
	Properties []string `json:"properties,omitempty"` // keys of an object; none: a text
	About      string   `json:"about"`
}

// The results that every program has, on success as well (then they are empty).
const (
	reasonResult  = "error-reason"
	messageResult = "error-message"
)

const credentialsEnv = "CREDENTIALS_PATH"

// input is a field of the config struct that the caller fills.
type input struct {
	index    []int  // of reflect.Value.FieldByIndex
	flag     string // name on the command line
	env      string
	kind     string
	fallback string
	required bool
	checkout bool // where nothing at all is said, it is the checkout around the working folder
	about    string
}

// output is a field of the config struct that the program fills.
type output struct {
	index []int
	name  string
	env   string
}

// layout is a config struct, read once.
type layout struct {
	contract Contract
	inputs   []input
	outputs  []output
}

// layoutOf reads the tags of a config struct. A faulty struct is a mistake of
// this program's author, so it panics: the program cannot even print its help.
func layoutOf(name, about string, config reflect.Type) layout {
	l := layout{contract: Contract{Name: name, About: about}}
	// What several programs ask for is a struct that they embed.
	for _, f := range reflect.VisibleFields(config) {
		if !f.Anonymous {
			l.add(f)
		}
	}
	l.contract.Results = append(l.contract.Results,
		Result{Name: reasonResult, Env: resultEnv(reasonResult), About: "Class of the failure in CamelCase, such as GitAuthenticationFailed. Empty on success."},
		Result{Name: messageResult, Env: resultEnv(messageResult), About: "The failure in one line of at most 300 characters. Empty on success."})
	return l
}

func (l *layout) add(f reflect.StructField) {
	required, about := f.Tag.Get("required") == "true", f.Tag.Get("desc")
	if name, ok := f.Tag.Lookup("param"); ok {
		p := Param{Name: name, Env: "PARAM_" + envName(name), Type: kindOf(f), Default: f.Tag.Get("default"), Required: required, About: about}
		l.contract.Params = append(l.contract.Params, p)
		l.inputs = append(l.inputs, input{f.Index, name, p.Env, p.Type, p.Default, required, false, about})
		return
	}
	if name, ok := f.Tag.Lookup("workspace"); ok {
		w := Workspace{Name: name, Env: "WORKSPACE_" + envName(name) + "_PATH", Required: required, About: about}
		l.contract.Workspaces = append(l.contract.Workspaces, w)
		l.inputs = append(l.inputs, input{f.Index, name, w.Env, kindOf(f), f.Tag.Get("default"), required, f.Tag.Get("checkout") == "true", about})
		return
	}
	if _, ok := f.Tag.Lookup("credentials"); ok {
		l.contract.Credentials = true
		l.inputs = append(l.inputs, input{f.Index, "credentials-path", credentialsEnv, kindOf(f), "", required, false,
			"Folder with .git-credentials, .gitconfig and .ssh as Tekton lays them out. Empty: the home folder."})
		return
	}
	if name, ok := f.Tag.Lookup("result"); ok {
		if f.Type.Kind() != reflect.String {
			panic(fmt.Sprintf("%s: result %s must be a string", l.contract.Name, name))
		}
		r := Result{Name: name, Env: resultEnv(name), About: about}
		if keys := f.Tag.Get("properties"); keys != "" {
			r.Properties = strings.Split(keys, ",")
		}
		l.contract.Results = append(l.contract.Results, r)
		l.outputs = append(l.outputs, output{f.Index, name, resultEnv(name)})
		return
	}
	panic(fmt.Sprintf("%s: field %s has none of the tags param, workspace, credentials, result", l.contract.Name, f.Name))
}

func kindOf(f reflect.StructField) string {
	switch {
	case f.Type == reflect.TypeFor[time.Duration]():
		return "duration"
	case f.Type.Kind() == reflect.String, f.Type == reflect.TypeFor[*string](): // nil: not given
		return "string"
	case f.Type.Kind() == reflect.Bool:
		return "bool"
	case f.Type.Kind() == reflect.Int:
		return "int"
	case f.Type == reflect.TypeFor[[]string]():
		return "list"
	}
	panic(fmt.Sprintf("field %s: type %s cannot be a parameter", f.Name, f.Type))
}

func resultEnv(name string) string { return "RESULT_" + envName(name) + "_PATH" }

// envName turns a name of Tekton into a part of a variable's name: sslVerify
// becomes SSL_VERIFY, CHAINS-GIT_URL becomes CHAINS_GIT_URL.
func envName(name string) string {
	var b strings.Builder
	var previous rune
	for _, r := range name {
		if unicode.IsUpper(r) && unicode.IsLower(previous) {
			b.WriteByte('_')
		}
		if !unicode.IsLetter(r) && !unicode.IsDigit(r) {
			r = '_'
		}
		b.WriteRune(unicode.ToUpper(r))
		previous = r
	}
	return b.String()
}
