struct session;
struct session *session_open(const char *user);
void session_close(struct session *session);
