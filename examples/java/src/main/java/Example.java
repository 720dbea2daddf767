import com.fasterxml.jackson.core.JsonProcessingException;
import dev.latchkey.client.ApiClient;
import dev.latchkey.client.ApiException;
import dev.latchkey.client.api.AccountApi;
import dev.latchkey.client.api.KeysApi;
import dev.latchkey.client.api.ProjectsApi;
import dev.latchkey.client.model.CreateKeyRequest;
import dev.latchkey.client.model.CreatedKey;
import dev.latchkey.client.model.KeyList;
import dev.latchkey.client.model.LogInRequest;
import dev.latchkey.client.model.Problem;
import dev.latchkey.client.model.Project;
import dev.latchkey.client.model.RotateKeyRequest;
import dev.latchkey.client.model.Session;
import dev.latchkey.client.model.Verification;
import dev.latchkey.client.model.VerifyKeyRequest;
import java.util.ArrayList;
import java.util.List;
import java.util.UUID;

/**
 * What a third-party backend and a person's tool do with Latchkey, by the client from openapi-generator. The same
 * program is beside it in three other languages.
 */
public final class Example {
  public static void main(String[] args) throws Exception {
    ApiClient backend = latchkey("X-Api-Key", System.getenv("LATCHKEY_API_KEY"));
    Session session =
        new AccountApi(latchkey(null, null))
            .logIn(
                new LogInRequest()
                    .email(System.getenv("LATCHKEY_EMAIL"))
                    .password(System.getenv("LATCHKEY_PASSWORD")));
    KeysApi keys = new KeysApi(latchkey("Authorization", "Bearer " + session.getAccessToken()));

    // A key knows its project.
    Project project = new ProjectsApi(backend).getCurrentProject();
    System.out.printf("The key belongs to the project %s.%n", project.getName());

    // A person creates keys. Each token is there this once.
    CreatedKey created = null;
    for (String name : List.of("nightly-export", "invoices", "customer-portal")) {
      created =
          keys.createKey(
              KeysApi.APICreateKeyRequest.newBuilder()
                  .projectId(project.getId())
                  .createKeyRequest(
                      new CreateKeyRequest()
                          .name(name)
                          .scopes(List.of("documents:read"))
                          .externalId("customer-4711"))
                  .build());
    }
    System.out.printf(
        "%s created the key %s.%n", session.getUser().getName(), created.getKey().getName());

    // A service asks whether a token that was presented to it is good.
    for (String scope : List.of("documents:read", "documents:write")) {
      Verification answer =
          new KeysApi(backend)
              .verifyKey(new VerifyKeyRequest().key(created.getToken()).scopes(List.of(scope)));
      System.out.printf("Asked for %s, the answer is %s.%n", scope, answer.getCode());
    }

    // A list comes in pages; the next cursor is null on the last one.
    List<String> names = new ArrayList<>();
    String cursor = null;
    do {
      KeyList page =
          keys.listKeys(
              KeysApi.APIListKeysRequest.newBuilder()
                  .projectId(project.getId())
                  .externalId("customer-4711")
                  .limit(2)
                  .cursor(cursor)
                  .build());
      page.getItems().forEach(key -> names.add(key.getName()));
      cursor = page.getNextCursor();
    } while (cursor != null);
    System.out.printf(
        "Page by page, customer-4711 has the keys %s.%n", String.join(", ", names));

    // Refusals carry a typed problem.
    try {
      keys.getKey(project.getId(), "key_00000000000000000000000000");
    } catch (ApiException refusal) {
      Problem problem = problem(refusal);
      System.out.printf(
          "A key that does not exist: %d %s.%n", problem.getStatus(), problem.getCode());
    }
    try {
      keys.createKey(
          KeysApi.APICreateKeyRequest.newBuilder()
              .projectId(project.getId())
              .createKeyRequest(new CreateKeyRequest().name(""))
              .build());
    } catch (ApiException refusal) {
      Problem problem = problem(refusal);
      System.out.printf(
          "A key without a name: %d %s at %s.%n",
          problem.getStatus(), problem.getCode(), problem.getErrors().get(0).getPointer());
    }

    // A rotation whose answer was lost is asked for again under the same Idempotency-Key.
    String once = UUID.randomUUID().toString();
    List<String> tokens = new ArrayList<>();
    for (int i = 0; i < 2; i++) {
      CreatedKey rotated =
          keys.rotateKey(
              KeysApi.APIRotateKeyRequest.newBuilder()
                  .projectId(project.getId())
                  .keyId(created.getKey().getId())
                  .idempotencyKey(once)
                  .rotateKeyRequest(new RotateKeyRequest().graceSeconds(3600))
                  .build());
      tokens.add(rotated.getToken());
    }
    if (tokens.get(0).equals(tokens.get(1)) && !tokens.get(0).equals(created.getToken())) {
      System.out.println("Rotated twice with one Idempotency-Key, the key has one new token.");
    }
  }

  private static ApiClient latchkey(String header, String credential) {
    ApiClient client = new ApiClient();
    client.updateBaseUri(System.getenv("LATCHKEY_URL"));
    if (header != null) {
      client.setRequestInterceptor(request -> request.setHeader(header, credential));
    }
    return client;
  }

  private static Problem problem(ApiException refusal) throws JsonProcessingException {
    return ApiClient.createDefaultObjectMapper().readValue(refusal.getResponseBody(), Problem.class);
  }
}
