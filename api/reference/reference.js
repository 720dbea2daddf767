// Everything comes from this instance, and nothing is told to anybody else.
Scalar.createApiReference("#reference", {
  url: "/openapi.json",
  authentication: { preferredSecurityScheme: "ApiKeyHeader" },
  persistAuth: false,
  showDeveloperTools: "never",
  telemetry: false,
  withDefaultFonts: false,
  hideClientButton: true,
  agent: { disabled: true },
  mcp: { disabled: true },
});
