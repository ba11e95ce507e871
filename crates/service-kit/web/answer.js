/** A refusal or failure, with what the API says about it. */
class ApiError extends Error {
  constructor(status, body) {
    const error = body?.error ?? {};
    super(error.message ?? "There is no answer. Check your connection and try again.");
    this.status = status;
    this.code = error.code ?? "NO_ANSWER";
    this.fields = Array.isArray(error.details) ? error.details.filter((item) => item?.field) : [];
    this.requestId = body?.requestId ?? "";
  }
}

/** The body of a response; a refusal is an ApiError. */
export async function answer(request) {
  let response;
  try {
    response = await request;
  } catch {
    throw new ApiError(0, null);
  }
  const body = await response.json().catch(() => null);
  if (!response.ok) throw new ApiError(response.status, body);
  return body;
}
