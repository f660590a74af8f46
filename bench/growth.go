package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
)

// growth is B10: what a promotion and a deployment take in an environment of so
// many applications.
type growth struct {
	Applications int
	Promotions   []usage // one each, round trip 50 ms
	Deployments  []usage // one application's version changed
	Wrong        int
}

// growthSizes are the environments of B10, by their number of applications.
var growthSizes = []int{10, 100, 1_000}

// deployments is how often each is measured: the largest takes many seconds.
const deployments = 5

// grown is the fixture of so many applications. Its history is short: what
// grows here is the environment.
func grown(applications int) fixture {
	return fixture{Name: fmt.Sprintf("grown-%d", applications), Dependencies: applications, Commits: 100}
}

// growths measures B10. Deployments go to the cluster of KUBECONFIG; without
// one, they are left out.
func (l *lab) growths(ctx context.Context, cache string, warmups, runs int) ([]growth, error) {
	l.link.setRoundTrip(far)
	var all []growth
	for _, n := range growthSizes {
		g := growth{Applications: n}
		slog.Info("B10", "applications", n, "load", load())
		if err := l.growPromotions(ctx, cache, &g, warmups, runs); err != nil {
			return nil, err
		}
		if os.Getenv("KUBECONFIG") != "" {
			if err := l.growDeployments(ctx, &g, deployments); err != nil {
				return nil, err
			}
		}
		all = append(all, g)
	}
	return all, nil
}

func (l *lab) growPromotions(ctx context.Context, cache string, g *growth, warmups, runs int) error {
	f, err := grown(g.Applications).prepare(ctx, cache)
	if err != nil {
		return err
	}
	result, err := l.promotions(ctx, condition{f, far}, single()[:1], warmups, runs)
	if err != nil {
		return err
	}
	g.Wrong += result.Series[0].Wrong
	for _, t := range result.Series[0].Trials {
		g.Promotions = append(g.Promotions, t.usage)
	}
	return nil
}

// growDeployments deploys an umbrella of so many sub-charts, each with a
// Deployment of no replicas and a Service, and again after each change of one.
func (l *lab) growDeployments(ctx context.Context, g *growth, runs int) error {
	dir, err := os.MkdirTemp(l.dir, "umbrella-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := umbrella(dir, g.Applications); err != nil {
		return err
	}
	namespace := fmt.Sprintf("bench-growth-%d-%d", g.Applications, os.Getpid())
	deploy := func() (usage, error) {
		return l.measure(ctx, dir, append(os.Environ(), "PATH="+l.programs+":"+os.Getenv("PATH")),
			"helm-apply", "--source=.", "--release=growth", "--namespace="+namespace, "--create-namespace", "--timeout=10m")
	}
	if _, err := deploy(); err != nil {
		return fmt.Errorf("deploy %d applications: %w", g.Applications, err)
	}
	defer func() {
		if err := deleteNamespace(context.WithoutCancel(ctx), namespace); err != nil {
			slog.Warn("a namespace stays", "namespace", namespace, "error", err)
		}
	}()
	for i := range runs {
		if err := subchart(dir, i%g.Applications, i+1); err != nil {
			return err
		}
		used, err := deploy()
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			g.Wrong++
			slog.Warn("does not count", "applications", g.Applications, "error", brief(err))
			continue
		}
		g.Deployments = append(g.Deployments, used)
	}
	return nil
}

func deleteNamespace(ctx context.Context, namespace string) error {
	config, err := clientcmd.BuildConfigFromFlags("", os.Getenv("KUBECONFIG"))
	if err != nil {
		return err
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	return client.CoreV1().Namespaces().Delete(ctx, namespace, metav1.DeleteOptions{})
}

// umbrella writes a chart with so many sub-charts in its charts folder.
func umbrella(dir string, n int) error {
	text := strings.Builder{}
	text.WriteString("apiVersion: v2\nname: growth\nversion: 0.1.0\ndependencies:\n")
	for i := range n {
		fmt.Fprintf(&text, "- {name: %s, version: 1.0.0}\n", application(i))
	}
	err := os.WriteFile(filepath.Join(dir, "Chart.yaml"), []byte(text.String()), 0o644)
	for i := range n {
		err = errors.Join(err, subchart(dir, i, 0))
	}
	return err
}

func subchart(dir string, i, generation int) error {
	name := application(i)
	files := map[string]string{
		"Chart.yaml": fmt.Sprintf("apiVersion: v2\nname: %s\nversion: 1.0.0\n", name),
		"templates/all.yaml": fmt.Sprintf(`apiVersion: apps/v1
kind: Deployment
metadata: {name: %[1]s}
spec:
  replicas: 0
  selector: {matchLabels: {app: %[1]s}}
  template:
    metadata: {labels: {app: %[1]s}}
    spec:
      containers:
      - {name: web, image: "registry.example.com/%[1]s:1.0.%[2]d"}
---
apiVersion: v1
kind: Service
metadata: {name: %[1]s}
spec:
  selector: {app: %[1]s}
  ports: [{port: 80}]
`, name, generation),
	}
	for path, text := range files {
		path = filepath.Join(dir, "charts", name, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}

func (r *results) growthTable(p *page) {
	if len(r.Growth) == 0 {
		return
	}
	p.line("\n## B10: an environment that grows\n\n![time by number of applications](growth.svg)\n")
	p.line("A promotion as in B1, round trip %d ms, from one process. A deployment is `helm-apply` of an umbrella with so many sub-charts (a Deployment", far.Milliseconds())
	p.line("without replicas and a Service each), of which one changed, to the API server of `test/cluster light` on this machine.")
	p.head("applications", "promotion, median ms", "quartiles ms", "promotions a minute", "deployment, median ms", "quartiles ms", "deployment, memory MB", "n", "wrong")
	for _, g := range r.Growth {
		promotions, deploys := walls(g.Promotions), walls(g.Deployments)
		cells := []any{g.Applications, ms(median(promotions)), ms(quantile(promotions, 0.25)) + "–" + ms(quantile(promotions, 0.75)), fmt.Sprintf("%.0f", perMinute(promotions))}
		if len(deploys) == 0 {
			cells = append(cells, "–", "–", "–")
		} else {
			cells = append(cells, ms(median(deploys)), ms(quantile(deploys, 0.25))+"–"+ms(quantile(deploys, 0.75)),
				fmt.Sprintf("%.0f", float64(median(of(g.Deployments, func(u usage) int64 { return u.MaxRSS })))/1024))
		}
		p.row(append(cells, len(g.Promotions), g.Wrong)...)
	}
}

func walls(all []usage) []time.Duration {
	return of(all, func(u usage) time.Duration { return u.Wall })
}

func perMinute(all []time.Duration) float64 { return time.Minute.Seconds() / median(all).Seconds() }

func (r *results) growthPlot() string {
	promotion, deployment := curve{Name: "promotion"}, curve{Name: "deployment"}
	for _, g := range r.Growth {
		if len(g.Promotions) > 0 {
			promotion.Points = append(promotion.Points, point{float64(g.Applications), milliseconds(median(walls(g.Promotions)))})
		}
		if len(g.Deployments) > 0 {
			deployment.Points = append(deployment.Points, point{float64(g.Applications), milliseconds(median(walls(g.Deployments)))})
		}
	}
	return chart{Title: "An environment that grows: median time", X: "applications", Y: "ms", Log: true, Curves: []curve{promotion, deployment}}.svg()
}

// growthTargets: ten times the applications take at most ten times as long.
func (r *results) growthTargets(p *page) {
	for at := 1; at < len(r.Growth); at++ {
		small, large := r.Growth[at-1], r.Growth[at]
		more := float64(large.Applications) / float64(small.Applications)
		name := fmt.Sprintf("B10, %d → %d applications", small.Applications, large.Applications)
		for _, of := range []struct {
			what         string
			small, large []usage
		}{{"promotion", small.Promotions, large.Promotions}, {"deployment", small.Deployments, large.Deployments}} {
			if len(of.small) > 0 && len(of.large) > 0 {
				times := median(walls(of.large)).Seconds() / median(walls(of.small)).Seconds()
				p.row(name+", "+of.what, fmt.Sprintf("≤ %.0f × the time", more), fmt.Sprintf("%.2f ×", times), met(times <= more))
			}
		}
	}
}
