package registrytest

import (
	"net/http"
	"net/http/httptest"
	"path/filepath"

	"github.com/rogpeppe/go-internal/testscript"
)

// WithCharts gives each session a repository of charts, $CHARTS, which serves its
// folder charts.
func WithCharts(params testscript.Params) testscript.Params {
	setup := params.Setup
	params.Setup = func(env *testscript.Env) error {
		charts := httptest.NewServer(http.FileServer(http.Dir(filepath.Join(env.WorkDir, "charts"))))
		env.Defer(charts.Close)
		env.Setenv("CHARTS", charts.URL)
		return setup(env)
	}
	return params
}
