package application

import (
	"errors"
	"fmt"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"github.com/lockstep-cd/lockstep/internal/document"
)

// Lengths of values, in bytes.
const (
	maxLine    = 1000
	maxCommand = 4096
)

// What is wrong with a value. None of these repeats it.
var (
	errVariable    = errors.New("it contains $( or $$, in which Tekton and Kubernetes see marks of their own; a script in the repository can hold it")
	errControl     = errors.New("it contains a control character")
	errCredentials = errors.New("an @ stands only before the digest of an image, sha256: and 64 hex digits; credentials belong into a Secret")
	errToken       = errors.New("the URL has a query or a fragment, which may hold a token; it ends with the path")
	errImage       = errors.New("it is no image such as registry.example.com/acme/user-service:1.0")
	errChartForm   = errors.New("it is none of oci://host/path, https://host/path and http://host/path")
)

// line is parse for a text of one line, in which nothing stands that Tekton
// would put another value in the place of.
func line(parse func(string) (string, error)) func(string) (string, error) {
	return func(text string) (string, error) {
		if err := check(text, maxLine, unicode.IsControl); err != nil {
			return "", err
		}
		if strings.TrimSpace(text) != text {
			return "", errors.New("it begins or ends with a blank")
		}
		return parse(text)
	}
}

// parseCommand takes several lines as well.
func parseCommand(text string) (string, error) {
	if err := check(text, maxCommand, func(r rune) bool { return r != '\n' && unicode.IsControl(r) }); err != nil {
		return "", err
	}
	return text, nil
}

func check(text string, most int, control func(rune) bool) error {
	switch {
	case strings.TrimSpace(text) == "":
		return errors.New("it is empty")
	case len(text) > most:
		return fmt.Errorf("it has %d bytes, more than the %d that are taken", len(text), most)
	case strings.Contains(text, "$("), strings.Contains(text, "$$"):
		return errVariable
	case strings.ContainsFunc(text, control):
		return errControl
	}
	return nil
}

// parseArgument takes every line.
func parseArgument(text string) (string, error) { return text, nil }

var chartForm = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._-]*$`)

// parseChart takes what Helm takes for the name or alias of a dependency.
func parseChart(text string) (string, error) {
	if !chartForm.MatchString(text) {
		return "", fmt.Errorf("%s is no name of a chart; it is made of letters, digits, hyphens, dots and underscores", document.Quoted(text))
	}
	return text, nil
}

// parseFile takes source:target as it is: a slash at the end has a meaning.
func parseFile(text string) (string, error) {
	source, target, _ := strings.Cut(text, ":")
	if !path.IsAbs(target) || slices.Contains(strings.Split(target, "/"), "..") {
		return "", fmt.Errorf("%s is not source:target with an absolute target, as in dist/web:/usr/bin/web", document.Quoted(text))
	}
	if _, err := document.ParsePath(source); err != nil {
		return "", err
	}
	return text, nil
}

var (
	digest    = regexp.MustCompile(`@sha(256:[0-9a-f]{64}|512:[0-9a-f]{128})$`)
	imageForm = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9._:/-]*[A-Za-z0-9_-])?$`)
)

// parseImage looks only at what could be something else; whether there is such
// an image the registry knows.
func parseImage(text string) (string, error) {
	name := digest.ReplaceAllString(text, "")
	switch {
	case strings.Contains(name, "@"):
		return "", errCredentials
	case !imageForm.MatchString(name), strings.Contains(name, "//"):
		return "", errImage
	}
	return text, nil
}

// parseImageRepository is parseImage without tag and digest.
func parseImageRepository(text string) (string, error) {
	if _, err := parseImage(text); err != nil {
		return "", err
	}
	if strings.Contains(path.Base(text), ":") {
		return "", errors.New("it ends with a tag or a digest; each version gets its own")
	}
	return text, nil
}

func parseChartRepository(text string) (string, error) {
	switch {
	case strings.Contains(text, "@"):
		return "", errors.New("the URL has a user or a password in it; credentials belong into a Secret")
	case strings.ContainsAny(text, "?#"):
		return "", errToken
	case strings.ContainsFunc(text, unicode.IsSpace):
		return "", errors.New("it contains a blank")
	}
	u, err := url.Parse(text)
	if err != nil || !slices.Contains([]string{"oci", "https", "http"}, u.Scheme) || u.Hostname() == "" || strings.HasPrefix(u.Host, "-") {
		return "", errChartForm
	}
	return text, nil
}
