"""Computes golden.json: what the originals give for many answers, ordinary and adversarial.

    python -m venv v && v/bin/pip install rouge==1.0.1 nltk==3.10.4 rouge-score==0.1.2 fuzzywuzzy==0.18.0
    v/bin/python golden.py [--seed N] [--rows N] > golden.json

ROUGE, BLEU, METEOR and edit ratios come from the packages that the benchmarks call (fuzzywuzzy without
python-Levenshtein, as they have it); everything else is written here from the published rules. A row is
[metric, answer, arguments..., numbers...]; the numbers are as many as the metric has.
"""

import argparse
import ast
import json
import random
import re
import string
import sys
import unicodedata
import warnings
from collections import Counter

warnings.filterwarnings("ignore")
from fuzzywuzzy import fuzz
from nltk.translate.bleu_score import sentence_bleu
from nltk.translate.meteor_score import single_meteor_score
from rouge import Rouge
from rouge_score.rouge_scorer import RougeScorer

CHINESE = "！？｡。＂＃＄％＆＇（）＊＋，－／：；＜＝＞＠［＼］＾＿｀｛｜｝～｟｠｢｣､、〃》「」『』【】〔〕〖〗〘〙〚〛〜〝〞〟〰〾〿–—‘’‛“”„‟…‧﹏."


class NoWordNet:
    def synsets(self, word):
        return []


def short(v):
    """twelve digits, whole numbers without a point; what is next to nothing as that"""
    if v == int(v):
        return int(v)
    return float("%.12g" % v) if abs(v) > 1e-300 else 1e-308


def string_match(answer, refs, any_of):
    answer = re.sub("[\x00-\x1f]", "", answer.strip()).strip().lower()
    found = [r.lower() in answer for r in refs]
    return [float(any(found)) if any_of else sum(found) / len(found)]


def f1(a, b):
    same = sum((Counter(a) & Counter(b)).values())
    return [2 * (same / len(a)) * (same / len(b)) / (same / len(a) + same / len(b)) if same else 0.0]


def words(s):
    s = "".join(c for c in s.lower() if c not in string.punctuation)
    return re.sub(r"\b(a|an|the)\b", " ", s).split()


def characters(s):
    return list("".join("".join(c for c in s.lower() if c not in CHINESE + string.punctuation).split()))


def rouges(answer, ref):
    try:
        s = Rouge().get_scores(answer, ref)[0]
        return [s[k][x] for k in ("rouge-1", "rouge-2", "rouge-l") for x in "prf"]
    except ValueError:
        return [0.0] * 9


def bleu(answer, ref):
    a, r = answer.split(), ref.split()
    return [float(sentence_bleu([r], a, weights=w)) for w in ((1, 0, 0, 0), (0, 0, 0, 1))]


def classification(answer, right, classes):
    found = [c for c in classes if c in answer]
    mended = [c for c in found if not (c in right and c != right)]
    for c in found:  # while the list shrinks
        if c in right and c != right:
            found.remove(c)
    return [1 / len(f) if right in f else 0.0 for f in (mended, found)]


def count(answer, right):
    numbers = re.findall(r"\d+", answer)
    return [sum(n == right for n in numbers) / len(numbers) if numbers else 0.0]


def retrieval(answer, ref):
    m = re.search(r"Paragraph (\d+)", ref)
    return count(answer, m[1]) if m else [0.0]


def code_similarity(answer, ref):
    lines = [x for x in answer.lstrip("\n").split("\n") if not ("`" in x or "#" in x or "//" in x)]
    return [fuzz.ratio(lines[0] if lines else "", ref) / 100]


def longbench(answer, task, refs, classes):
    """LongBench, LongBench-E, and both with the original's classes"""
    metric = {
        "qasper": lambda a, r: qa_f1(a, r) * 2,
        "samsum": lambda a, r: [rouges(a, r)[8]] * 2,
        "trec": lambda a, r: classification(a, r, classes),
        "triviaqa": lambda a, r: qa_f1(a, r) * 2,
        "passage_count": lambda a, r: count(a, r) * 2,
        "lcc": lambda a, r: code_similarity(a, r) * 2,
    }[task]
    first = task in ("trec", "triviaqa", "samsum")
    base = (answer.lstrip().split("\n")[0] if first else answer).lstrip()
    e = answer.lstrip("\n").split("\n")[0] if first else answer
    return [max([0.0] + [metric(a, r)[k] for r in refs]) for k in (0, 1) for a in (base, e)]


def correct_answer(answer, letter):
    answer = answer.replace("*", "")
    return [float(f"The correct answer is ({letter})" in answer or f"The correct answer is {letter}" in answer)]


def blanks(s, each):
    for c in each:
        s = s.replace(c, " ")
    return s


def kv_retrieval(answer, value):
    return [float(value in blanks(answer, "\n:\"'.,?!{}").split())]


def first_number(answer, label):
    m = re.search("[0-9]+", answer)
    return [float((m[0] if m else "") == label)]


def code_run(answer, label):
    w = blanks(answer.strip(), "\n.`'\":").split()
    try:
        return [float(int(w[-1]) == int(label))]
    except (ValueError, IndexError):
        return [0.0]


def standing(answer, last):
    m = re.search(rf"\b[A-{last}]\b(?!.*\b[A-{last}]\b)", answer)
    return m[0] if m else None


def code_debug(answer, name, letter):
    answer = answer.strip()
    if standing(answer, "J") == letter:
        return [1.0]
    answer = blanks(answer, ["\n", "`", "'", '"', "-", "*", "Option", "option"])
    answer = re.sub("  +", " ", answer)
    if answer.startswith((letter, name)):
        return [1.0]
    for p in ("answer is:", "is:", "answer:", "correct option is:"):
        if p in answer:
            after = answer[answer.find(p) + len(p) + 1 :]
            return [float(after.startswith((letter, name)))]
    return [0.0]


def longbook_choice(answer, letters):
    answer = answer.strip()
    if standing(answer, "D") in letters:
        return [1.0]
    if answer == "":
        return [0.0]
    if answer[0] in "ABCD":
        return [float(answer[0] in letters)]
    if answer in letters:
        return [1.0]
    answer = re.sub("  +", " ", blanks(answer, "\n\"'.,?!{}"))
    for p in ("answer is:", "answer:", "answer is", "option is"):
        if p in answer:
            after = answer[answer.find(p) + len(p) + 1 :]
            return [float(any(after.startswith(x) for x in letters))]
    for w in answer.split():
        if w in "ABCD":
            return [float(w in letters)]
    return [0.0]


def dialogue(answer, names):
    return [float(any(n.upper() in answer.strip().upper() for n in names))]


def math_find(answer, label):
    m = re.search(r"\d+\.\d+|\d+", answer)
    return [float(m is not None and float(m[0]) == float(label))]


def math_calc(answer, values):
    right = 0
    for n, v in zip(re.findall("[0-9]+", answer), values):
        if int(n) != int(v):
            break
        right += 1
    return [right / len(values)]


def boxed(answer, result):
    """mended; answered; AIME's; MATH's"""
    mended, at = 0.0, answer.rfind("boxed{")
    if at >= 0:
        depth = 1
        for i in range(at + 6, len(answer)):
            depth += {"{": 1, "}": -1}.get(answer[i], 0)
            if depth == 0:
                mended = float(answer[at + 6 : i].strip() == result.strip())
                break
    aime = answer.split("boxed{")[-1].split("}")[0] == result
    parts = answer.split("boxed{")
    math = len(parts) > 1 and parts[1].split("}")[0] == result
    return [mended, float(at >= 0), float(aime), float(math)]


def cloze(answer, ref):
    """exact, of, partial, of; the same of the original"""
    ref = ast.literal_eval(ref)
    try:
        got = ast.literal_eval(answer.strip())
        assert isinstance(got, dict)
    except Exception:
        return [0, len(ref), 0, len(ref), 0, 1, 0, len(ref)]
    exact = sum(k in got and got[k] == v for k, v in ref.items())
    partial, crash = 0, False
    for k, v in ref.items():
        if k in got:
            if isinstance(v, str) and isinstance(got[k], str):
                partial += bool(set(v.split()) & set(got[k].split()))
            else:
                crash = True
    return [exact, len(ref), partial, len(ref), exact, len(ref), 0 if crash else partial, len(ref)]


def build(seed, rows):
    r = random.Random(seed)
    common = "the a an of to in and is was for on that with as his they be at one have this from or had by hot but some what there we can out other were all your when up use word how said each she which do their time if will way about many then them would write like so these her long make thing see him two has look more day could go come did my sound no most number who over know water than call first people may down side been now find".split()
    stems = "relational conditional rational valenci hesitanci digitizer conformably radically differently vilely analogously vietnamization predication operator feudalism decisiveness hopefulness callousness formality sensitivity sensibility triplicate formative formalize electricity electrical hopeful goodness revival allowance inference airliner gyroscopic adjustable defensible irritant replacement adjustment dependent adoption homologous communism activate angularity effective bowdlerize probate rate cease controlling roll happy sky skies dying flies died ties agreed feed plastered bled motoring sing conflated troubled sized hopping tanned falling hissing fizzed failing filing geology yyy yes by enjoyment news innings proceed rationally fully biology".split()
    odd = ["", " ", "\n", "\t", "\x00", "\x1f", "\x1c", "\u00a0", "\u2003", "\u0301", "é", "e\u0301", "İ", "ß", "ΑΣ", "Σ", "ﬁ", "the", "The", "an", "a\u0301", "½", "²", "٣", "１２", "一", "中文", "答案是，", "北京。", "“quoted”", "😀", "👩\u200d🔬", "...", ". ", ".", "!?", "{", "}", "{{}}", "\\boxed{", "boxed{", "boxed{\\frac{1}{2}}", "}", "'", '"', "`", "#", "//", "-", "*", "**", "_", "a_b", "don't", "A", "B", "C", "D", "J", "K", "(A)", "B.", "Option", "option B", "answer is:", "answer is: B", "is:", "answer:", "option is", "correct option is:", "12", "-7", "+3", "1_000", "007", "3.5", "3.", ".5", "1,234", "Paragraph 7", "Paragraph 12", "Paragraph", "abc123def", "12345678901234567890123", "The correct answer is (B)", "The correct answer is **C**", "The correct answer is"]
    classes = ["Other entity", "Entity", "Invention, book", "Date", "Date of birth", "City", "Other number", "Number"]
    names = ["Bob", "Bethel Horizon", "New York", "O'Hara", 'the "Lark"', "Zoë", "北京", "Dr. A. Smith", "7", "", "back\\slash", "line\nbreak"]

    def text(n, *pieces):
        pool = r.choice([common, common + stems, stems, common + odd, odd, list("abcd ABCD.,{}'\n12")])
        if pieces:
            pool = r.choice([list(pieces), list(pieces), list(pieces) + odd, list(pieces) + common])
        glue = r.choice([" ", " ", " ", "  ", "\n", ". ", ""])
        return glue.join(r.choice(pool) for _ in range(r.randint(0, n)))

    def near(s):
        """another text that has much in common"""
        w = s.split(" ")
        for _ in range(r.randint(0, 4)):
            i = r.randint(0, len(w))
            w[i : i + r.randint(0, 2)] = [r.choice(common + odd + stems) for _ in range(r.randint(0, 2))]
        if r.random() < 0.2:
            r.shuffle(w)
        return r.choice(["", "", " ", "\n", "The "]) + " ".join(w)

    def pair(n=16):
        s = text(n)
        return (near(s), s) if r.random() < 0.75 else (text(n), s)

    def boxed_text():
        return " ".join(r.choice(["so", "\\boxed{7}", "\\boxed{12}", "\\boxed{\\frac{1}{2}}", "boxed{ 7 }", "boxed{7", "{x}", "}", "7", "\\boxed{\\sqrt{2}", "boxed{}"]) for _ in range(r.randint(0, 4)))

    def dictionary():
        d = {f"<mask-{i}>": r.choice(names) for i in range(r.randint(1, 4))}
        return d, json.dumps(d, ensure_ascii=False)

    def guess(d):
        g = {k: r.choice([v, v, r.choice(names), v + " x", "x " + v]) for k, v in d.items() if r.random() < 0.9}
        if r.random() < 0.15:
            g[r.choice(["<mask-0>", 1, 1.5, True, None, ("a", 1)])] = r.choice([1, None, [1, "x"], {"a": 1}, 2.0, -3, (), ("x",), "x"])
        s = r.choice([repr, lambda g: json.dumps(g, ensure_ascii=False) if all(isinstance(k, str) for k in g) else repr(g)])(g)
        if r.random() < 0.25:
            s = r.choice([s + ".", s + "\n", "\n" + s, "Answer: " + s, s[:-1], s + s, s.replace(",", ""), s.replace("{", "{ ", 1), s[:-1] + ",}", "[" + s + "]", "dict(a=1)", "__import__('os')", "{'a': f'x'}", "{1: '\\u00e9\\x41\\101\\q\\n'}", "{}", "None", ""])
        return s

    out = []

    def row(metric, answer, *args):
        values = globals()[metric](answer, *args)
        out.append([metric, answer, *args, [short(v) for v in values]])

    for _ in range(rows):
        row("rouges", *pair())
        row("lsum", *pair(20))
        row("bleu", *pair())
        row("meteor", *pair())
        row("qa_f1", *pair(10))
        row("character_f1", *pair(10))
        row("code_similarity", *pair(12))
    s = "".join(r.choice("abcdefgh    xyz\t()=") for _ in range(420))  # long enough for difflib's frequent characters
    for k in range(6):
        row("code_similarity", s[: 100 + 60 * k] + s[30 : 40 * k + 30], s[10 * k :])
    for _ in range(rows):
        a = text(8)
        refs = [r.choice([text(2) or "x", (a[1:4] or "y").swapcase()]) for _ in range(r.randint(1, 4))]
        row("string_match", a, refs, r.random() < 0.5)
        chosen = r.sample(classes, r.randint(0, 4))
        row("classification", near(" ".join(chosen)), r.choice(chosen or classes), classes)
        a = text(10)
        numbers = re.findall(r"\d+", a) or ["7"]
        row("count", a, r.choice(numbers))
        row("retrieval", text(5, "Paragraph 7", "7", "12", "paragraph 12", "٧"), r.choice(["Paragraph 7", "Paragraph 12.", "Paragraph  7 Paragraph 12", "none", "Paragraph ", "段落3"]))
        a, b = pair(8)
        a = r.choice(["", "\n", " \n", "\t "]) + r.choice([a, a.replace(" ", "\n", 1)])
        task = r.choice(["qasper", "samsum", "trec", "triviaqa", "passage_count", "lcc"])
        if task == "trec":
            a, b = a + " " + " ".join(chosen), r.choice(chosen or classes)
        row("longbench", a, task, [text(4), b], classes if task == "trec" else [])
        row("correct_answer", text(2, "The correct answer is (B)", "The correct answer is **C**", "**The correct answer is (A", "The correct answer is\nB"), r.choice("ABC"))
        row("kv_retrieval", a, r.choice(a.split() + ["12", "a_b"]).strip(".") or "x")
        row("first_number", text(3, "12", "7", "no", "-12", "1,2"), r.choice(["12", "7", "1"]))
        row("code_run", text(3) + r.choice(["", " 12", " -7.", "\n1_000", " 007", " ١٢", " 12a", " 3.5", "`7`"]), r.choice(["12", "-7", "1000", "7"]))
        choice = ["A", "B", "C", "BC", "b", "(A)", "B.", "\n", "Option B", "options", "answer is:", "answer is: B", "answer is C", "option is", "is:", "correct option is: abc", "Answer:", "answer:", "the", '"A"', "éB", "_C", "abc def"]
        row("code_debug", text(5, *choice), r.choice(["abc", "K", "the"]), r.choice("ABC"))
        row("longbook_choice", text(5, *choice), [r.choice("ABC")])
        row("dialogue", text(4, "bob", "straße", "BOB", "i", "ας", "nobody"), [r.choice(["SS", "bob", "İ", "ΑΣ", "zoë"]) for _ in range(2)])
        row("math_find", text(4, "12", "3.5", "x", "7.", "-7", "12.0", "3.50", "v3.5"), r.choice(["12", "3.5", "7", "12.0"]))
        row("math_calc", text(3, "12", "7", "3", ",", "[12, 7, 3]", "x", "012"), r.choice([["12", "7", "3"], ["12"], ["7", "12"]]))
        row("boxed", boxed_text(), r.choice(["7", "12", "\\frac{1}{2}", "\\frac{1", "7 "]))
        d, ref = dictionary()
        row("cloze", guess(d), ref)
    return out


lsum_scorer = RougeScorer(["rougeLsum"])
lsum = lambda a, ref: [lsum_scorer.score(ref, a)["rougeLsum"].fmeasure]
meteor = lambda a, ref: [float(single_meteor_score(ref.split(), a.split(), wordnet=NoWordNet()))]
qa_f1 = lambda a, ref: f1(words(a), words(ref))
character_f1 = lambda a, ref: f1(characters(a), characters(ref))

if __name__ == "__main__":
    p = argparse.ArgumentParser()
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--rows", type=int, default=24)
    o = p.parse_args()
    json.dump(build(o.seed, o.rows), sys.stdout, ensure_ascii=False, separators=(",", ":"))
