// The answers of Kubernetes' own RBAC authorizer, to hold ours against.
//
// Reads one JSON object a line: RBAC objects and questions. Writes one JSON
// array a line: for each question the reason of its allowance (which names
// binding, role and subject), or null where it is not allowed.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/apiserver/pkg/authorization/authorizerfactory"
	"k8s.io/kubernetes/pkg/registry/rbac/validation"
	"k8s.io/kubernetes/plugin/pkg/auth/authorizer/rbac"
)

type policy struct {
	ClusterRoles        []*rbacv1.ClusterRole
	ClusterRoleBindings []*rbacv1.ClusterRoleBinding
	Roles               []*rbacv1.Role
	RoleBindings        []*rbacv1.RoleBinding
	Questions           []question
}

type question struct {
	User                                                         string
	Groups                                                       []string
	Verb, Group, Version, Resource, Subresource, Namespace, Name string
	Path                                                         *string // of a request that is for no resource
}

func (q question) attributes() authorizer.Attributes {
	found := authorizer.AttributesRecord{
		User: &user.DefaultInfo{Name: q.User, Groups: q.Groups}, Verb: q.Verb,
		APIGroup: q.Group, APIVersion: q.Version, Resource: q.Resource, Subresource: q.Subresource,
		Namespace: q.Namespace, Name: q.Name, ResourceRequest: q.Path == nil,
	}
	if q.Path != nil {
		found.Path = *q.Path
	}
	return found
}

func (p *policy) answers() ([]*string, error) {
	_, objects := validation.NewTestRuleResolver(p.Roles, p.RoleBindings, p.ClusterRoles, p.ClusterRoleBindings)
	// The server puts the privileged group before every authorizer in the same way.
	privileged := authorizerfactory.NewPrivilegedGroups(user.SystemPrivilegedGroup)
	rules := rbac.New(objects, objects, objects, objects)
	answers := make([]*string, len(p.Questions))
	for i, q := range p.Questions {
		for _, one := range []authorizer.Authorizer{privileged, rules} {
			decision, reason, err := one.Authorize(context.Background(), q.attributes())
			if err != nil {
				return nil, err
			}
			if decision == authorizer.DecisionAllow {
				answers[i] = &reason
				break
			}
		}
	}
	return answers, nil
}

func run() error {
	lines := bufio.NewReaderSize(os.Stdin, 1<<20)
	out := bufio.NewWriter(os.Stdout)
	decoder, encoder := json.NewDecoder(lines), json.NewEncoder(out)
	for decoder.More() {
		var p policy
		if err := decoder.Decode(&p); err != nil {
			return err
		}
		answers, err := p.answers()
		if err != nil {
			return err
		}
		if err := encoder.Encode(answers); err != nil {
			return err
		}
		if err := out.Flush(); err != nil { // whoever asks may wait for the answer
			return err
		}
	}
	return nil
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "oracle:", err)
		os.Exit(1)
	}
}
