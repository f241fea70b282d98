"""jupyter_kernel_test with every sample that the protocol has for this kernel."""
import unittest

import jupyter_kernel_test


class KvnotesTests(jupyter_kernel_test.KernelTests):
    kernel_name = "kvnotes"
    language_name = "go"
    file_extension = ".go"

    code_hello_world = 'import "fmt"\nfmt.Println("hello, world")'
    code_stderr = 'import ("fmt"; "os")\nfmt.Fprintln(os.Stderr, "oops")'

    completion_samples = [
        {"text": "display.MakeData", "matches": {"MakeData", "MakeData3"}},
        {"text": 'import "container/he', "matches": {"container/heap"}},
    ]
    complete_code_samples = ["x := 1", "func f() int {\n\treturn 1\n}", "%help"]
    incomplete_code_samples = ["func f() int {", "x := []int{1,", "if true {\n\tx := 1"]
    invalid_code_samples = ["import = 7q", "func )("]

    code_page_something = "display.HTML?"
    code_generate_error = "panic(\"boom\")"
    code_execute_result = [
        {"code": "1 + 2", "result": "3"},
        {"code": '"a" + "b"', "result": "ab"},
        {"code": "display.HTML(\"<b>hi</b>\")", "mime": "text/html", "result": "<b>hi</b>"},
    ]
    code_display_data = [
        {"code": "Display(display.HTML(\"<b>x</b>\"))", "mime": "text/html"},
        {"code": "Display(display.Markdown(\"*x*\"))", "mime": "text/markdown"},
        {"code": "Display(display.SVG(\"<svg/>\"))", "mime": "image/svg+xml"},
        {"code": "Display(display.PNG([]byte{137, 80}))", "mime": "image/png"},
        {"code": "Display(display.JSON(map[string]interface{}{\"a\": 1}))", "mime": "application/json"},
    ]
    supported_history_operations = ("tail", "range", "search")
    code_history_pattern = "1 + 2*"
    code_inspect_sample = "display.HTML"
    code_clear_output = "display.Clear(false)"


if __name__ == "__main__":
    unittest.main()
