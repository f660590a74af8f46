package git

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"

	"github.com/lockstep-cd/lockstep/internal/fault"
	"github.com/lockstep-cd/lockstep/internal/git/wire"
)

// explain gives an error from the wire its meaning for the user and takes
// secrets out of it. An error that has a meaning already keeps it.
func (r *Remote) explain(err error) error {
	if err == nil {
		return nil
	}
	return r.keys.redact(meaning(err))
}

func meaning(err error) error {
	if errors.As(err, new(*fault.Error)) || errors.Is(err, context.Canceled) {
		return err
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return fault.Retryable("Timeout", err, "Give it more time with timeout, or find out why the host is slow.")
	}
	if he, ok := errors.AsType[*wire.HTTPError](err); ok {
		return meaningOfStatus(he.Status, err)
	}
	switch {
	case errors.Is(err, wire.ErrUnauthorized):
		return fault.Retryable("GitAuthenticationFailed", fmt.Errorf("%w (%w)", err, ErrAuthentication),
			"Check the user name and token: the secret of the run's service account, or the basic-auth or ssh-directory workspace.")
	case errors.Is(err, wire.ErrHostKey):
		return fault.Refused("HostKeyUnknown", err, "Add the host's key to known_hosts.")
	case errors.Is(err, wire.ErrNoGit):
		return fault.Usage("NoGitProgram", err, "Use the repository's URL on its host.")
	case errors.Is(err, wire.ErrNoFolder):
		return fault.Refused("RepositoryNotFound", fmt.Errorf("%w (%w)", err, ErrNotFound), "Check the path.")
	case errors.Is(err, errTooLarge):
		return fault.Refused("PackTooLarge", err, "What the host sent unpacks to more than is taken. Clone less of the history, or keep large files out of the repository.")
	case errors.Is(err, wire.ErrProtocol):
		return fault.Retryable("GitServerError", err, "Check the URL: what answers there is no Git repository, perhaps a sign-in page.")
	case isTLS(err):
		return fault.Refused("GitCertificateUntrusted", err,
			"Bind the certificate authority's file as workspace ssl-ca-directory.")
	case errors.As(err, new(net.Error)), transient(err):
		return fault.Retryable("GitUnreachable", err, "Check the URL and that the host can be reached from here.")
	case errors.As(err, new(*wire.RemoteError)):
		return fault.Retryable("GitServerError", err, "")
	}
	return err
}

func meaningOfStatus(status int, err error) error {
	if transient(err) {
		return fault.Retryable("GitUnreachable", err, "The host is busy or down; try again later.")
	}
	switch status {
	case http.StatusForbidden:
		return fault.Refused("GitForbidden", fmt.Errorf("%w (%w)", err, ErrRefused),
			"The credentials were accepted but lack the right for this. Reading needs read access, pushing needs write access.")
	case http.StatusNotFound, http.StatusGone:
		return fault.Refused("RepositoryNotFound", fmt.Errorf("%w (%w)", err, ErrNotFound),
			"Check the URL. Hosts also answer so when the credentials may not see the repository.")
	}
	return fault.Retryable("GitServerError", err, "")
}

func transient(err error) bool {
	_, ok := wire.Transient(err)
	return ok
}

func isTLS(err error) bool {
	return errors.As(err, new(*tls.CertificateVerificationError))
}
