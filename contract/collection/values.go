package main

// given are the values of body fields that come from variables, by operation.
var given = map[string]map[string]string{
	"logIn":            {"email": "{{email}}", "password": "{{password}}"},
	"signUp":           {"email": "{{$randomUUID}}@example.com"},
	"refreshSession":   {"refresh_token": "{{refresh_token}}"},
	"forgotPassword":   {"email": "{{email}}"},
	"changePassword":   {"current": "{{password}}", "new": "{{password}}"},
	"verifyEmail":      {"token": "from the mail", "password": "{{password}}"},
	"resetPassword":    {"token": "from the mail", "password": "{{password}}"},
	"acceptInvitation": {"token": "from the invitation"},
	"verifyKey":        {"key": "{{api_key}}", "project_id": "{{project_id}}"},
	"spendKey":         {"key_id": "{{key_id}}", "project_id": "{{project_id}}"},
	"updateProject":    {"name": "Payments"},
	"revokeKeys":       {"external_id": "customer-who-left"},
	"grantCredits":     {"key_id": "{{key_id}}"},
	"refundCredits":    {"key_id": "{{key_id}}"},
}

// kept says which parts of an answer go into which variables.
var kept = map[string]map[string]string{
	"logIn":              {"access_token": "access_token", "refresh_token": "refresh_token", "user_id": "user.id"},
	"refreshSession":     {"access_token": "access_token", "refresh_token": "refresh_token"},
	"createOrganization": {"organization_id": "id"},
	"createProject":      {"project_id": "id"},
	"createKey":          {"key_id": "key.id", "token": "token"},
	"rotateKey":          {"token": "token"},
	"createPlan":         {"plan_id": "id"},
	"createWebhook":      {"webhook_id": "id"},
	"testWebhook":        {"delivery_id": "id"},
	"createInvitation":   {"invitation_id": "invitation.id"},
	"createServiceToken": {"token_id": "service_token.id"},
	"listSessions":       {"session_id": "items.1.id"},
	"getCurrentProject":  {"project_id": "id"},
}

// otherwise are the statuses of requests that cannot succeed as they are,
// because they need a token from an email, or would end what others need.
var otherwise = map[string][]int{
	"signUp":           {201, 202, 403},
	"verifyEmail":      {204, 401},
	"resetPassword":    {204, 401},
	"acceptInvitation": {200, 401, 403, 404, 409},
	"updateMember":     {200, 409},
	"removeMember":     {204, 409},
	"revokeSession":    {204, 404},
	"deleteProject":    {204, 403},
	"forgotPassword":   {202},
	"resetLimit":       {200, 404}, // the key may have no such limit
	"grantCredits":     {201, 422}, // the same
	"refundCredits":    {201, 409, 422},
	"spendKey":         {200, 404, 422}, // before a key is known, and as for resetLimit

	// A key reads webhooks, and only people make them.
	"getWebhook":            {200, 404},
	"listWebhookDeliveries": {200, 404},

	// {{user_id}} is the person who has signed in, and no service account.
	"getServiceAccount":    {200, 404},
	"updateServiceAccount": {200, 404},
	"deleteServiceAccount": {204, 404},
	"createServiceToken":   {201, 404},
	"listServiceTokens":    {200, 404},
	"deleteServiceToken":   {204, 404},

	// What a project publishes: the folder without credentials may run before a project is known.
	"getIssuer":              {200, 404},
	"getAuthorizationServer": {200, 404},
	"getProjectJWKS":         {200, 404},
	"getProtectedResource":   {200, 404},
	"forwardAuth":            {200, 401, 403}, // a folder without credentials sends no key
}
