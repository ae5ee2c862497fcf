"""What the end-to-end tests share: origins, name servers, namespaces, exeat itself and a client with full control."""
