from servicekit.http.problems import PROBLEMS


def test_every_title_is_the_status_in_words():
    assert {status: problem.title for status, problem in PROBLEMS.items()} == {
        400: "Bad Request",
        401: "Unauthorized",
        403: "Forbidden",
        404: "Not Found",
        405: "Method Not Allowed",
        409: "Conflict",
        422: "Unprocessable Content",
        412: "Precondition Failed",
        413: "Payload Too Large",
        414: "URI Too Long",
        415: "Unsupported Media Type",
        416: "Range Not Satisfiable",
        429: "Too Many Requests",
        431: "Request Header Fields Too Large",
        500: "Internal Server Error",
        501: "Not Implemented",
        502: "Bad Gateway",
        503: "Service Unavailable",
        504: "Gateway Timeout",
        505: "HTTP Version Not Supported",
    }


def test_every_problem_says_what_it_means_and_what_to_do():
    texts = [text for problem in PROBLEMS.values() for text in (problem.detail, problem.meaning, problem.advice)]
    assert all(text.endswith(".") and text == text.strip() for text in texts)
    assert len({problem.meaning for problem in PROBLEMS.values()}) == len(PROBLEMS)
