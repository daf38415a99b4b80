package patch

import (
	"errors"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// builtIn registers the kinds that a strategic merge patch is for.
func builtIn() (*runtime.Scheme, error) {
	s := runtime.NewScheme()
	return s, errors.Join(
		admissionv1.AddToScheme(s), appsv1.AddToScheme(s), autoscalingv1.AddToScheme(s), autoscalingv2.AddToScheme(s),
		batchv1.AddToScheme(s), corev1.AddToScheme(s), networkingv1.AddToScheme(s), policyv1.AddToScheme(s),
		rbacv1.AddToScheme(s), schedulingv1.AddToScheme(s), storagev1.AddToScheme(s),
	)
}
