"""Writes needle.json: what the Python tokenizers library makes of strings, with the tokenizer of the needle model.
usage: python make_golden.py   (tokenizers)"""
import json,random
from tokenizers import Tokenizer
t=Tokenizer.from_file('../../needle/model/tokenizer.json')
base=["","a"," ","  ","   x","Hello world","The access code of Lisbon is 2251.","don't we'll I'm they've he'd it's o'clock 'S 'T","tab\tand\nnewline\n\n\nend","trailing   ","   leading","a  b   c    d","1234567890 12 3.14","x1y2z3","café naïve Ünïcödé","日本語のテキスト","😀 emoji 👨‍👩‍👧 family","ﬁ ligature","\u00a0nbsp\u2003em","\r\n windows","<|im_start|>user\nHi<|im_end|>\n","<|im_start|><|im_start|>","<|im_sta","²³ ½ Ⅷ","مرحبا","a\u0301 combining","!!!???...","snake_case camelCase","'''","\u200b zero","\x00\x01","end\n"," \n \n ","\t\t","ÿþ"]
r=random.Random(5); pool=[" ","  ","\n","a","The"," code","9","é","日","'s","!","<|im_end|>","\t","😀"," x","\u3000"]
for _ in range(60): base.append("".join(r.choice(pool) for _ in range(r.randrange(1,25))))
out=[]
for s in base:
    ids=t.encode(s,add_special_tokens=False).ids
    out.append({"text":s,"ids":ids,"decoded":t.decode(ids,skip_special_tokens=False),"decoded_skip_special":t.decode(ids,skip_special_tokens=True)})
json.dump({"made_with":"tokenizers, on kvpress/needle/model/tokenizer.json (make_golden.py)","strings":out},open('needle.json','w'),ensure_ascii=True,indent=0)
print(len(out))
