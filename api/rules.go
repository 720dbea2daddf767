package api

import (
	"github.com/latchkey-dev/latchkey/api/permission"
	"github.com/latchkey-dev/latchkey/domain"
)

// rule says who may call an operation, and which action the caller must hold in
// the organization or project. The permission is checked first of all; the service
// checks the action, because it knows the organization or project.
type rule struct {
	permission permission.Permission
	action     domain.Action // empty: it needs none
}

var (
	anyone   = permission.Public
	byKey    = permission.HasAPIKey
	byUser   = permission.IsUser
	byEither = permission.Any(byKey, byUser)
	byBoth   = permission.Any(byKey, byUser, permission.All(byKey, byUser))
)

// rules has the rule of every operation of openapi.yaml, by operationId. A test
// compares the two.
var rules = map[string]rule{
	"getLiveness":    {anyone, ""},
	"getReadiness":   {anyone, ""},
	"getOpenAPI":     {anyone, ""},
	"getOpenAPIJSON": {anyone, ""},
	"getJWKS":        {anyone, ""},

	"getIssuer":              {anyone, ""},
	"getAuthorizationServer": {anyone, ""},
	"getProjectJWKS":         {anyone, ""},

	"issueToken":           {anyone, ""}, // the handler proves the client
	"introspectToken":      {anyone, ""}, // the handler proves the client, and the service asks for keys:verify
	"getProtectedResource": {anyone, ""},
	"forwardAuth":          {anyone, ""}, // the edge proves the key that the proxy has received

	"getReference":      {anyone, ""},
	"getErrorReference": {anyone, ""},

	"signUp":         {anyone, ""},
	"logIn":          {anyone, ""},
	"refreshSession": {anyone, ""},
	"verifyEmail":    {anyone, ""},
	"forgotPassword": {anyone, ""},
	"resetPassword":  {anyone, ""},
	"logOut":         {byUser, ""},

	"getCaller":      {byBoth, ""},
	"getMe":          {byUser, ""},
	"updateMe":       {byUser, ""},
	"changePassword": {byUser, ""},

	"listSessions":        {byUser, ""},
	"revokeSession":       {byUser, ""},
	"revokeOtherSessions": {byUser, ""},

	"createOrganization": {byUser, ""},
	"listOrganizations":  {byUser, ""},
	"getOrganization":    {byUser, domain.OrganizationRead},
	"updateOrganization": {byUser, domain.OrganizationWrite},
	"deleteOrganization": {byUser, domain.OrganizationDelete},
	"listAuditEvents":    {byUser, domain.AuditRead},

	"listMembers":  {byUser, domain.MembersRead},
	"updateMember": {byUser, domain.MembersWrite},
	"removeMember": {byUser, domain.MembersWrite}, // leaving needs no action

	"createServiceAccount": {byUser, domain.ServiceAccountsWrite},
	"listServiceAccounts":  {byUser, domain.ServiceAccountsRead},
	"getServiceAccount":    {byUser, domain.ServiceAccountsRead},
	"updateServiceAccount": {byUser, domain.ServiceAccountsWrite},
	"deleteServiceAccount": {byUser, domain.ServiceAccountsWrite},
	"createServiceToken":   {byUser, domain.ServiceAccountsWrite},
	"listServiceTokens":    {byUser, domain.ServiceAccountsRead},
	"deleteServiceToken":   {byUser, domain.ServiceAccountsWrite},

	"createInvitation": {byUser, domain.MembersWrite},
	"listInvitations":  {byUser, domain.MembersWrite},
	"revokeInvitation": {byUser, domain.MembersWrite},
	"acceptInvitation": {byUser, ""},

	"createProject":     {byUser, domain.ProjectsWrite},
	"listProjects":      {byUser, domain.ProjectsRead},
	"getProject":        {byEither, domain.ProjectRead},
	"updateProject":     {byEither, domain.ProjectWrite},
	"deleteProject":     {byUser, domain.ProjectDelete},
	"getCurrentProject": {byKey, ""},

	"createKey":  {byEither, domain.KeysWrite},
	"listKeys":   {byEither, domain.KeysRead},
	"getKey":     {byEither, domain.KeysRead},
	"updateKey":  {byEither, domain.KeysWrite},
	"revokeKeys": {byEither, domain.KeysWrite},
	"revokeKey":  {byEither, domain.KeysWrite},
	"rotateKey":  {byEither, domain.KeysWrite},
	"deleteKey":  {byEither, domain.KeysWrite},
	"reportLeak": {anyone, ""}, // to have a token is the proof
	"importKeys": {byUser, domain.KeysImport},
	"verifyKey":  {byEither, domain.KeysVerify},
	"spendKey":   {byEither, domain.KeysVerify},
	"syncKeys":   {byKey, domain.KeysVerify},

	"listCustomers": {byEither, domain.KeysRead},

	"getKeyLimits": {byEither, domain.LimitsRead},
	"resetLimit":   {byEither, domain.LimitsWrite},

	"grantCredits":      {byEither, domain.LimitsWrite},
	"refundCredits":     {byEither, domain.LimitsWrite},
	"listCreditEntries": {byEither, domain.LimitsRead},

	"createPlan": {byEither, domain.LimitsWrite},
	"listPlans":  {byEither, domain.LimitsRead},
	"getPlan":    {byEither, domain.LimitsRead},
	"updatePlan": {byEither, domain.LimitsWrite},
	"deletePlan": {byEither, domain.LimitsWrite},

	"rehearsePlan": {byEither, domain.LimitsWrite}, // and usage:read

	"createWebhook":         {byUser, domain.WebhooksWrite},
	"listWebhooks":          {byEither, domain.WebhooksRead},
	"getWebhook":            {byEither, domain.WebhooksRead},
	"updateWebhook":         {byUser, domain.WebhooksWrite},
	"deleteWebhook":         {byUser, domain.WebhooksWrite},
	"rotateWebhookSecret":   {byUser, domain.WebhooksWrite},
	"testWebhook":           {byUser, domain.WebhooksWrite},
	"listWebhookDeliveries": {byEither, domain.WebhooksRead},
	"redeliver":             {byUser, domain.WebhooksWrite},

	"getOrganizationUsage": {byUser, domain.UsageRead},
	"getUsage":             {byEither, domain.UsageRead},
	"getOwnUsage":          {byKey, ""},
}
