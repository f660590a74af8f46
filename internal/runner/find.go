package runner

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	pipelinev1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	pipelinev1beta1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1beta1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lockstep-cd/lockstep/internal/fault"
)

// neighbours are the folders of a catalog, as Tekton's have them: what one
// object refers to by name lies in one of them.
var neighbours = []string{"tasks/*/*.yaml", "pipelines/*/*.yaml", "steps/*/stepaction.yaml", "stepactions/*/*.yaml"}

// Find reads the object that path names, which is a file or a folder of YAML,
// into the catalog, and what it may refer to: further files, and what lies in the
// catalog's folders around it. Of two objects with one name that of path is
// taken, then that of a further file. Where path has several objects, name says
// which; runs stand in front of what they run.
func (c *Catalog) Find(path, name string, further ...string) (metav1.Object, error) {
	if err := c.addNeighbours(path); err != nil {
		return nil, err
	}
	for _, file := range further {
		if _, err := c.AddFile(file); err != nil {
			return nil, err
		}
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, fault.Usage("FileNotRead", err, "name a file or folder of Tekton YAML")
	}
	read := c.AddFile
	if info.IsDir() {
		read = c.AddFolder
	}
	objects, err := read(path)
	if err != nil {
		return nil, err
	}
	return choose(path, name, objects)
}

func choose(path, name string, objects []metav1.Object) (metav1.Object, error) {
	var names []string
	var runs, others []metav1.Object
	for _, o := range objects {
		if name != "" && o.GetName() != name && strings.TrimSuffix(o.GetGenerateName(), "-") != name {
			names = append(names, o.GetName()+o.GetGenerateName())
			continue
		}
		switch o.(type) {
		case *pipelinev1.PipelineRun, *pipelinev1.TaskRun:
			runs = append(runs, o)
		default:
			others = append(others, o)
		}
		names = append(names, o.GetName()+o.GetGenerateName())
	}
	if len(runs) == 0 {
		runs = mostOuter(others)
	}
	switch {
	case len(runs) == 1:
		return runs[0], nil
	case len(names) == 0:
		return nil, fault.Usage("NothingToRun", fmt.Errorf("%s holds no Pipeline, Task, StepAction or run of one", path), "")
	}
	return nil, fault.Usage("AmbiguousName", fmt.Errorf("%s: which one is meant, %s?", path, strings.Join(names, " or ")), "give its name as the second argument")
}

// mostOuter keeps Pipelines where there are any, else Tasks, else StepActions:
// a file that holds a Pipeline and its Tasks means the Pipeline.
func mostOuter(objects []metav1.Object) []metav1.Object {
	var pipelines, tasks, actions []metav1.Object
	for _, o := range objects {
		switch o.(type) {
		case *pipelinev1.Pipeline:
			pipelines = append(pipelines, o)
		case *pipelinev1.Task:
			tasks = append(tasks, o)
		case *pipelinev1beta1.StepAction:
			actions = append(actions, o)
		}
	}
	switch {
	case len(pipelines) > 0:
		return pipelines
	case len(tasks) > 0:
		return tasks
	}
	return actions
}

func (c *Catalog) addNeighbours(path string) error {
	root := Around(path, func(dir string) bool {
		matches, err := filepath.Glob(filepath.Join(dir, neighbours[0]))
		return err == nil && len(matches) > 0
	})
	if root == "" {
		return nil
	}
	for _, pattern := range neighbours {
		files, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			return err
		}
		for _, file := range files {
			if _, err := c.AddFile(file); err != nil {
				return err
			}
		}
	}
	return nil
}

// ModuleAround returns the folder of the Go module that path lies in, or "".
func ModuleAround(path string) string {
	return Around(path, func(dir string) bool {
		_, err := os.Stat(filepath.Join(dir, "go.mod"))
		return err == nil
	})
}

// Around returns the nearest folder that is, or holds, path and fits, or "".
func Around(path string, fits func(dir string) bool) string {
	dir, err := filepath.Abs(path)
	if err != nil {
		return ""
	}
	for {
		if fits(dir) {
			return dir
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return ""
		}
		dir = parent
	}
}
