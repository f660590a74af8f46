package webhook

import (
	"context"
	"fmt"
	"maps"
	"time"

	triggers "github.com/tektoncd/triggers/pkg/apis/triggers/v1beta1"
	"github.com/tektoncd/triggers/pkg/interceptors"
	"github.com/tektoncd/triggers/pkg/interceptors/bitbucket"
	"github.com/tektoncd/triggers/pkg/interceptors/cel"
	"github.com/tektoncd/triggers/pkg/interceptors/github"
	"github.com/tektoncd/triggers/pkg/interceptors/gitlab"
	"google.golang.org/grpc/codes"
)

// secretParam is the parameter of an interceptor that names the secret of the
// signature.
const secretParam = "secretRef"

// patience is how long an interceptor may take, as in Triggers' own server.
const patience = 3 * time.Second

// makers are the interceptors that need no cluster, by the name of their
// ClusterInterceptor.
var makers = map[string]func(interceptors.SecretGetter) triggers.InterceptorInterface{
	"bitbucket": func(s interceptors.SecretGetter) triggers.InterceptorInterface { return bitbucket.NewInterceptor(s) },
	"cel":       func(s interceptors.SecretGetter) triggers.InterceptorInterface { return cel.NewInterceptor(s) },
	"github":    func(s interceptors.SecretGetter) triggers.InterceptorInterface { return github.NewInterceptor(s) },
	"gitlab":    func(s interceptors.SecretGetter) triggers.InterceptorInterface { return gitlab.NewInterceptor(s) },
}

// intercept asks a Trigger's interceptors in turn, each with the extensions of
// those before it, and returns all extensions.
func (l *Listener) intercept(ctx context.Context, t prepared, eventID string, r Request) (map[string]any, *Skip) {
	extensions := map[string]any{}
	for _, i := range t.Spec.Interceptors {
		request := triggers.InterceptorRequest{
			Body: string(r.Body), Header: r.Header.Clone(), Extensions: extensions,
			Context: &triggers.TriggerContext{
				EventURL: r.URL, EventID: eventID,
				TriggerID: fmt.Sprintf("namespaces/%s/triggers/%s", t.Namespace, t.Name),
			},
		}
		answer, skip := l.ask(ctx, t.Name, i, request)
		if skip != nil {
			return nil, skip
		}
		maps.Copy(extensions, answer.Extensions)
	}
	return extensions, nil
}

// ask asks one interceptor. It is asked for the signature alone first: the
// answers to a wrong signature and to an unwanted event differ only in their
// English.
func (l *Listener) ask(ctx context.Context, trigger string, i *triggers.TriggerInterceptor, request triggers.InterceptorRequest) (*triggers.InterceptorResponse, *Skip) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	interceptor := makers[i.Ref.Name](l.secrets)
	params := interceptors.GetInterceptorParams(i)
	if secret, ok := params[secretParam]; ok {
		request.InterceptorParams = map[string]any{secretParam: secret}
		if answer := interceptor.Process(ctx, &request); !answer.Continue {
			return nil, &Skip{trigger, Signature, answer.Status.Message}
		}
	}
	request.InterceptorParams = params
	answer := interceptor.Process(ctx, &request)
	if answer.Continue {
		return answer, nil
	}
	reason := Failed
	if answer.Status.Code == codes.FailedPrecondition {
		reason = Filtered
	}
	return nil, &Skip{trigger, reason, answer.Status.Message}
}
