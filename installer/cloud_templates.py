"""Templates that k0rdent renders into child clusters, so that their cloud controllers have access to the cloud.

They are written in the language of Go templates; Sveltos gives them the child cluster's infrastructure object and the
identity that the Credential names. Each makes the Secret that the cloud's controller manager reads. Keys that may be
missing are asked for by `index` or `hasKey`, which does whether or not the renderer is strict about them.
"""

# The subnet of the workers is where load balancers and routes of the child cluster belong.
AZURE_CLOUD_CONFIG = """\
{{- $spec := .InfrastructureProvider.spec }}
{{- $identity := getResource "InfrastructureProviderIdentity" }}
{{- $password := index (getResource "InfrastructureProviderIdentitySecret").data "clientSecret" | b64dec }}
{{- $config := dict
  "cloud" $spec.azureEnvironment
  "tenantId" $identity.spec.tenantID
  "subscriptionId" $spec.subscriptionID
  "aadClientId" $identity.spec.clientID
  "aadClientSecret" $password
  "resourceGroup" $spec.resourceGroup
  "location" $spec.location
  "vmType" "vmss"
  "vnetName" $spec.networkSpec.vnet.name
  "vnetResourceGroup" $spec.networkSpec.vnet.resourceGroup
  "securityGroupResourceGroup" $spec.networkSpec.vnet.resourceGroup
  "loadBalancerName" ""
  "loadBalancerSku" "Standard"
  "maximumLoadBalancerRuleCount" 250
  "useInstanceMetadata" true
  "useManagedIdentityExtension" false }}
{{- range $subnet := $spec.networkSpec.subnets }}
  {{- if and (eq $subnet.role "node") (not (hasKey $config "subnetName")) }}
    {{- $_ := set $config "subnetName" $subnet.name }}
    {{- $_ := set $config "securityGroupName" $subnet.securityGroup.name }}
    {{- $_ := set $config "routeTableName" $subnet.routeTable.name }}
  {{- end }}
{{- end }}
apiVersion: v1
kind: Secret
metadata:
  name: azure-cloud-provider
  namespace: kube-system
type: Opaque
data:
  cloud-config: {{ $config | toJson | b64enc }}
"""

# `quote` and not plain quotation marks: a password may hold one.
OPENSTACK_CLOUD_CONFIG = """\
{{- $network := index .InfrastructureProvider.status "externalNetwork" }}
{{- $secret := getResource "InfrastructureProviderIdentity" }}
{{- $cloud := (index $secret.data "clouds.yaml" | b64dec | fromYaml).clouds.openstack }}
{{- $auth := $cloud.auth }}
apiVersion: v1
kind: Secret
metadata:
  name: openstack-cloud-config
  namespace: kube-system
type: Opaque
stringData:
  cloud.conf: |
    [Global]
    auth-url={{ $auth.auth_url | quote }}
    region={{ $cloud.region_name | quote }}
    {{- if hasKey $auth "application_credential_id" }}
    application-credential-id={{ $auth.application_credential_id | quote }}
    application-credential-secret={{ $auth.application_credential_secret | quote }}
    {{- else }}
    username={{ $auth.username | quote }}
    password={{ $auth.password | quote }}
    tenant-name={{ $auth.project_name | quote }}
    user-domain-name={{ $auth.user_domain_name | quote }}
    tenant-domain-name={{ $auth.project_domain_name | quote }}
    {{- end }}

    [LoadBalancer]
    {{- if $network }}
    floating-network-id={{ $network.id | quote }}

    [Networking]
    public-network-name={{ $network.name | quote }}
    {{- end }}
"""
