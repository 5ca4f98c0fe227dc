"""Pure translation between an API's bytes and the gateway's models, one file a dialect."""
