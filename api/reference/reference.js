// Everything comes from this instance, and nothing is sent to any other.
fetch("openapi.json").then((answer) => answer.json()).then((contract) => {
  // Examples are to be read. Sent, the one of If-Match would refuse every change, and everybody would name their
  // requests by the one of Idempotency-Key.
  const operations = Object.values(contract.paths).flatMap((path) => Object.values(path));
  for (const parameter of [...operations.flatMap((operation) => operation.parameters ?? []), ...Object.values(contract.components.parameters)]) {
    if (parameter.in === "header" && !parameter.required) {
      parameter.examples = { example: { value: parameter.example, "x-disabled": true } };
      delete parameter.example;
    }
  }
  // Scalar's own placeholder looks like a key.
  new MutationObserver(() => {
    for (const field of document.querySelectorAll('[placeholder="QUxMIFlPVVIgQkFTRSBBUkUgQkVMT05HIFRPIFVT"]')) {
      field.placeholder = "Paste a key or an access token";
    }
  }).observe(document.getElementById("reference"), { childList: true, subtree: true, attributeFilter: ["placeholder"] });
  Scalar.createApiReference("#reference", {
    content: contract,
    authentication: { preferredSecurityScheme: "ApiKeyHeader" },
    persistAuth: false,
    showDeveloperTools: "never",
    telemetry: false,
    withDefaultFonts: false,
    hideClientButton: true,
    agent: { disabled: true },
    mcp: { disabled: true },
  });
});
