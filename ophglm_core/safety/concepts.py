"""What a clause can say that bears on urgency: onset, symptoms, diagnoses, and what excuses them.

The text is in lower case and evened out (spelling.normalised). In each pattern the gaps have an
upper bound, so that a long text takes linear time.
"""

from __future__ import annotations

import re
from datetime import date

_EYE_WORDS = r"(?:eyes?|eyeballs?|eyesight|vision|sight|eyelids?|pupils?|cornea)"
_SIGHT = r"(?:vision|sight|eyesight|eye sight|visual acuity|visual field|field of view)"
_NUMBER = (
    r"(?:\d+|an?|one|two|three|four|five|six|seven|eight|nine|ten|twelve|fifteen|twenty|thirty"
    r"|forty|fifty|few|a few|some|several|many|a couple of|couple of|half an|half a)"
)
_WHOSE = r"(?:my|his|her|their|our|your|the|an|one|both|\w+'s)"

_SUDDEN = (
    r"\bsudden(?:ly)?\b|\babrupt(?:ly)?\b|\ball at once\b|\bout of (?:nowhere|the blue)\b"
    r"|\bacute(?:ly)?\b|\binstant(?:ly)?\b|\brapid(?:ly)?\b|\bwithout warning\b|\bovernight\b"
    r"|\bwoke up\b|\bwaking up\b|\bnew[- ]onset\b|\bwithin (?:seconds|minutes|hours)\b"
    r"|\bin (?:a matter of )?(?:seconds|minutes|an instant|a flash)\b"
    r"|突然|忽然|一下子|一下就|猛地|骤|突发|急性|瞬间|一觉醒来|毫无征兆"
)
_RECENT = (
    r"\b(?:today|tonight|yesterday|yday|overnight)\b|\bjust now\b|\bright now\b|\bthis (?:morning"
    r"|am|pm|afternoon|evening|week|weekend|lunchtime)\b"
    r"|\blast (?:night|week|evening|weekend|few (?:hours|days))\b"
    r"|\b(?:since|from|on|until|till|as of) (?:about |around )?(?:last |this )?"
    r"(?:mon|tues?|wednes|thurs?|fri|satur|sun)(?:day)?\b"
    r"|\bsince (?:this|last (?!year)|lunch|breakfast|dinner|noon|midday|the weekend|waking|then"
    r"|about \d|\d{1,2}(?: ?[ap]m|:\d\d| ?o'clock))"
    rf"|\b{_NUMBER} ?(?:seconds?|mins?|minutes?|hours?|hrs?|h|days?|d|weeks?|wks?) "
    r"?(?:ago|now|back|earlier)\b"
    rf"|\b(?:for|since|over|in|past|last) (?:the (?:last|past) |about |around )?{_NUMBER} "
    r"?(?:seconds?|mins?|minutes?|hours?|hrs?|days?)\b"
    r"|\bx ?\d+ ?(?:h|hrs?|hours?|d|days?|wks?|/7|/24)\b"
    r"|(?<!acuity )(?<!\d)\d{1,2}/(?:7|24)\b|\b[1-4]/52\b"
    r"|\bonset \d|\b\d+ ?(?:h|hrs?|hours|days?|d|min(?:ute)?s?) (?:duration|onset|history|hx)\b"
    r"|\b(?:one|two|three|few|1|2|3|4|5|6) days? (?:after|post)\b"
    r"|\bjust (?:went|got|gone|happened|started|lost|began|now|noticed|woke|had)\b"
    r"|\b(?:since|as) i woke\b|\b(?:has|have|had)? ?(?:just )?started\b|\ball of a sudden\b"
    r"|今天|今早|今晨|今日|今晚|早上起来|起床|昨天|昨晚|昨夜|昨日|前天|刚才|刚刚"
    r"|刚(?=[被有开发把看])"
    r"|这两天|这几天|最近|近日|近几天|上周|这周|本周|上个?星期|这个?星期|周[一二三四五六日末]"
    r"|[\d一二两三四五六七八九十几半多]+ ?个?(?:多)?(?:分钟|小时|钟头|天|日|周|星期)(?!一次|查)"
)
THIS_YEAR = date.today().year
YEAR = r"\b(?:19\d\d|20[0-4]\d)(?!\d)(?! ?(?:mg|ml|um|μm|px|pixels))"
PAST = (
    rf"\b{_NUMBER} ?(?:years?|yrs?|y|months?|mths?|decades?) (?:ago|back|earlier|before)\b"
    r"|\b(?:years|months|decades|ages) (?:ago|back)\b|\blong (?:ago|time ago)\b|\blast year\b"
    r"|\bas an? (?:child|kid|boy|girl|baby|teenager|student|young (?:man|woman))\b"
    r"|\bin (?:my|his|her|their) (?:childhood|youth|teens|twenties|thirties|forties|20s|30s|40s)\b"
    r"|\bin (?:childhood|infancy)\b|\bsince (?:childhood|birth|infancy|i was)\b|\bat birth\b"
    r"|\b(?:born|congenital(?:ly)?)\b|\bwhen (?:i|he|she) was (?:a |an )?(?:little|small|young|\d|"
    r"kid|child|boy|girl|baby|teenager|at school|in school|born)"
    r"|\b(?:history|hx) of\b|\bh/o\b|\b(?:previous|prior|former|past)(?:ly)?\b|\bused to\b"
    r"|\b(?:an )?old (?:injury|trauma|scar|burn|chemical|retinal|detach|crao|brvo|crvo|rd\b|macular"
    r"|penetrating)|\bresolved\b|\brepaired\b|\bback in\b|\bs/p\b|\bstatus post\b"
    r"|以前(?!没|好|都|正常|从)|之前(?!没|好|都|正常|从)|年前|月前|曾|小时候|幼年|自幼|从小"
    r"|童年|儿时"
    r"|打了?硅油|取(?:出)?硅油|受过|伤过|得过|患过|既往|旧伤|陈旧|去年|前年|早年|年轻时|出生|先天|天生"
)
PAST_LIST = (
    r"\bpmh\b|\bpoh\b|\bpohx\b|\bpmhx\b|\bpast (?:medical|ocular) history\b"
    r"|\bold notes\b|既往史"
)
_SLOW = (
    r"\bgradual(?:ly)?\b|\bslow(?:ly)?\b|\bprogressive(?:ly)? over\b|\bstable\b|\bunchanged\b"
    r"|\blong[- ]?standing\b|\bchronic\b|\bsame (?:few )?\w+ for\b|\bfor (?:years|ages|decades"
    r"|months)\b|\bover (?:the )?(?:last |past )?(?:years|months|decades)\b|\bnothing new\b"
    rf"|\b(?:for|over|in|since|past|last|by) (?:the )?(?:last |past |about |over )*{_NUMBER} "
    r"?(?:years?|yrs?|months?|decades?)\b|\byears of\b|\ball my life\b|\bno change\b"
    r"|\bwith age\b|\bnot (?:changed|worse|new)\b|\blike always\b|\bas always\b|\blifelong\b"
    r"|\bsince (?:university|uni|college|school|i was|my teens)\b"
    r"|慢慢|逐渐|逐年|渐渐|缓慢|越来越.{0,6}(?:年|岁)|稳定|没变|没有变|无变化|一直这样|老毛病"
    r"|从(?:大学|高中|初中|中学|小学|上学|年轻|小)(?:时|时候)?(?:起|就|开始)"
    r"|[\d一二两三四五六七八九十几多好数]+ ?(?:年|个多?月)(?:了|来|以来|多|$)|好几年|多年"
)

_CHEMICALS = (
    r"(?:bleach|drain ?(?:cleaner|unblocker|opener)|oven cleaner|(?:toilet|bathroom|window|glass"
    r"|floor|kitchen|lens|engine|brake|limescale|household|cleaning|rust)[- ]?(?:bowl )?"
    r"(?:cleaner|cleaning|cleanser|fluid|product|spray|remover|liquid|solution)s?|cleaners?"
    r"|descaler|detergent|dish(?:washer|washing)? ?(?:soap|liquid|tablet|pod)|washing[- ]up liquid"
    r"|laundry (?:pod|liquid|capsule)|battery (?:acid|fluid)|(?:quick)?lime(?! juice)|cement"
    r"|concrete|mortar|plaster|alkalis?|alkaline|lye|caustic(?: soda)?|naoh|sodium hydroxide"
    r"|ammonia|chlorine|pepper ?spray\w*|mace|tear gas|bear spray|super ?glue|glue|adhesive"
    r"|nail polish(?: remover)?|acetone|petrol|gasoline|diesel|kerosene|paint(?: thinner| stripper)"
    r"?|thinner|turpentine|white spirit|solvents?|hair dye|peroxide|disinfectant|dettol|lysol"
    r"|sanitis?z?er|alcohol|perfume|pesticide|weed ?killer|insecticide|fertili[sz]er|bug spray"
    r"|chemicals?|corrosives?|hydrochloric|sulph?uric|formalin|formaldehyde|resin|hot oil|vape "
    r"(?:juice|liquid)|vinegar|essential oil|industrial fluid|hydraulic fluid|antifreeze|coolant"
    r"|(?<!salicylic )(?<!hyaluronic )(?<!folic )(?<!ascorbic )(?<!amino )(?<!fatty )(?<!uric )"
    r"(?<!tranexamic )(?<!lipoic )(?<!retinoic )(?<!fusidic )\bacids?)"
)
_ZH_CHEMICALS = (
    r"(?:洗洁精|洁厕灵|洁厕|石灰|水泥|酒精|胶水|502|强力胶|漂白|消毒液|消毒水|84|洗衣液|洗衣粉"
    r"|洗衣凝珠|清洁剂|去污|油污净|疏通剂|管道通|硫酸|盐酸|硝酸|烧碱|火碱|强碱|强酸|碱水|碱液"
    r"|(?<!水杨)(?<!尿)(?<!叶)(?<!氨基)(?<!玻尿)酸液|氨水|双氧水|辣椒水|防狼喷雾|辣椒喷雾|催泪"
    r"|电池液|电瓶水|农药|杀虫剂|汽油|柴油|油漆|稀料|香蕉水|染发[剂膏]|指甲油|洗甲水|卸甲水|化学"
    r"|药水瓶里的酸|香水|花露水|干燥剂|甲醛|沥青|热油|涂料|洗发精|化肥|生石灰|除草剂|碱)"
)
_CHILD = (
    r"\b(?:baby|babies|toddler|child|children|infant|newborn|sons?|daughter|kids?|grandson"
    r"|granddaughter|grandchild|niece|nephew|little (?:girl|boy|one)|(?:\d+|two|three|four|five"
    r"|six|eight|ten) ?[- ]?(?:months?|mo|weeks?)[- ]?old|[1-9] ?y/?o\b|[1-9][- ]year[- ]old"
    r"|(?:she|he) is [1-9]\b)"
    r"|小孩|孩子|宝宝|婴儿|幼儿|娃|儿子|女儿|孙子|孙女|新生儿|患儿|外甥|侄"
)
_HURTS = (
    r"(?:pain(?!less)\w*|hurts?|hurting|hurted|aches?|aching|achy|sore|soreness|throb\w*|agony|stabbing"
    r"|excruciating|killing me|tender)"
)
_WORSE = (
    r"(?:blur\w*|worse\w*|(?<!eye )drop\w*|decreas\w*|reduc\w*|deteriorat\w*|dim\w*"
    r"|haz[ye]\w*|fogg?\w*"
    r"|cloud\w*|fuzz\w*|bad|terrible|awful|poor|misty|smear\w*|smudg\w*|weak\w*|down|fad(?:ed|ing)"
    r"|crap|rubbish|grey|gray|impaired|dull)"
)
_FORCE = (
    r"(?:hit|hits|struck|poked?|pok|punched|scratched|kicked|stabbed|whacked|elbowed|smacked"
    r"|slapped|smashed|jabbed|headbutted|cut|pierced|bashed|clawed|bitten|knocked|thumped|injured"
    r"|hurt by|whipped|snapped|bumped|impaled|lacerated|kneed|shot|grazed)"
)

_PATTERNS: dict[str, str] = {
    "eye": (
        rf"\b{_EYE_WORDS}\b|\b(?:see|seeing|sees|look|looks|ocular|visual|globe|lids?)\b|眼"
        rf"|视|瞳|看"
    ),
    "sudden": _SUDDEN,
    "recent": _RECENT,
    "slow": _SLOW,
    "child": _CHILD,
    # Loss of sight that is an emergency with no word of its onset.
    "blind": (
        r"can't see (?:a (?:\w+ )?thing|anything|nothing|shit|jack|any light|at all)\b(?! (?:wrong"
        r"|unusual|abnormal|odd|bad|special|strange|new|suspicious|worrying|like|of (?:the|note)"
        r"|close|far|up close|without|in (?:this|the|that) (?:p|im|fund|sc)))"
        r"|can't see (?:out|outta|from|through|thru|with|in|on|of)\b.{0,20}\b(?:eyes?|left|right"
        r"|side)\b(?! (?:of|in) (?:the|this) (?:p|im|scr))"
        r"|can't see(?: any ?more| now)?\W*$"
        rf"|\b{_SIGHT}\b(?: (?:in|of|from|on|out of) {_WHOSE}(?: \w+)? eye)?(?: \w+)?"
        r"(?:'s| is| has| was| just| went| goes| completely| totally| all| suddenly| have| gone"
        r"| keeps?| turned| turns){1,4} (?:gone|black|dark|grey|gray|disappeared|vanished|out|blank"
        r"|going (?:black|dark|grey|gray|out))"
        rf"|\b{_SIGHT} (?:vanished|disappeared)\b"
        rf"|\b{_SIGHT} .{{0,12}}blacked out"
        r"|\beyes?\b(?:'s| is| has| just| have| suddenly| completely| all| was| then){0,4} (?:went|"
        r"gone|turned|goes|going|gone) (?:completely |totally |all |pitch )?(?:black|dark|blind"
        r"|grey|gray|blank|out)\b(?! from)"
        r"|\b(?:i|i'm|i've|he's|she's|he|she|have|has|am|eye) .{0,10}(?:gone|went|going) (?:\w+ )?"
        r"blind\b(?! from)(?! at)|\bgoing blind\b.{0,15}\beye|\bwoke up (?:\w+ )?blind"
        r"|\b(?:everything|it all|all|world)\b.{0,35}\b(?:went|gone|turned|goes|turns) (?:\w+ )?"
        r"(?:black|dark|grey|gray|blank|white)\b(?! on the (?:screen|p|im))"
        r"|\b(?:sees?|seeing|saw) (?:nothing|only (?:black|dark\w*)|just (?:black|dark\w*)"
        r"|(?:total )?(?:darkness|blackness))\b(?! (?:wrong|unusual|abnormal|new|special|in (?:the|"
        r"this)))"
        r"|\b(?:half|part|side|chunk|bit) of (?:what i (?:can )?see|my (?:\w+ )?(?:vision|sight"
        r"|view"
        r"|field))\b.{0,25}\b(?:vanish\w*|missing|gone|disappear\w*|black|dark|lost)"
        r"|\bamaurosis\b|\btmvl\b|\btvl\b|\b(?:transient|temporary|fleeting|brief) (?:visual"
        r"|vision|monocular|sight)(?: \w+)? ?(?:loss|obscurations?|blackouts?)"
        rf"|\b(?:lost|losing|loses|loss of)\b.{{0,25}}{_SIGHT}.{{0,25}}\bfor (?:about |around )?"
        r"(?:a|\d+|\w+)(?: \w+)? ?(?:second|minute|moment|min|hour)s?"
        r"|\bsudden (?:blindness|darkness|visual loss|vision loss)"
        r"|黑[矇蒙朦]|眼前.{0,3}(?:发黑|一黑|黑了|全黑|一片黑)|一片(?:漆黑|黑)|(?:右|左|只"
        r"|单)眼.{0,4}"
        r"(?:发黑|黑了|全黑|瞎|看不[见到])|(?:啥|什么)[都也]?看不|瞎了|看不[见到]了|完全看不"
        r"|没有?光感"
        r"|眼.{0,3}(?<!会)瞎了"
    ),
    # Loss of sight that may be old: an emergency if it is sudden or recent.
    "lost_sight": (
        rf"\b(?:lost|loss of|losing|lose|loses)\b(?: (?:the|my|his|her|all|most|some|of|their|total"
        rf"|partial|central|half|complete|peripheral|part)){{0,4}} {_SIGHT}(?! slowly)"
        rf"|\b(?:vision|sight|visual|field|visual field) loss\b|\b(?:went|gone|going|turned|became"
        r"|are|is|am) (?:\w+ )?blind\b|\bblindness\b|can't see\b(?! (?:the|any|what|it|where"
        r"|why|how"
        r"|that|a|drusen|lesions?)\b)"
        rf"|\bno (?:{_SIGHT}|light perception)\b|\b(?:nlp|npl|hm|cf)\b"
        rf"|\b{_SIGHT}\b.{{0,20}}\b(?:gone|black|dark|lost|vanish\w*|disappear\w*|out)\b"
        r"|看不[见到](?!.{0,4}(?:照片|图|病|远|小字|黑板))|失明|视力丧失|瞎|没视力|没了视力|缺损"
    ),
    "worse_sight": (
        rf"\b(?:{_SIGHT}|eyes?)\b.{{0,35}}\b{_WORSE}\b|\b{_WORSE} .{{0,15}}\b{_SIGHT}\b"
        r"|\b(?:everything|things|it all|all|letters|words|faces|text|print)\b.{0,20}\b(?:blur\w*"
        r"|haz[ye]\w*|fogg\w*|fuzz\w*|misty|dim)"
        r"|can't see (?:\w+ )?(?:well|properly|clearly|much|right|good|straight)\b(?! (?:at night"
        r"|in the dark|without|far|up close|from far))"
        rf"|\bdrop in {_SIGHT}|\bvisual (?:disturbance|blurring|change|symptom|obscuration)s?"
        r"|\bblurr?(?:y|ed|ing)\b"
        r"|(?:视力|视物|看东西|看人|眼睛?|看字|眼前).{0,8}(?:下降|模糊|不清|变差|减退|糊|发蒙"
        r"|朦胧|变暗)"
        r"|看不清(?!.{0,4}(?:照片|图|病))|看不太清"
    ),
    "new_spot": (
        r"\b(?:blank|dark|black|grey|gray|blind|missing) (?:spot|patch|area|hole|blob)\b.{0,30}\b"
        r"(?:cent(?:re|er)|middle|vision|sight|view|eye)|\bcentral scotoma"
        r"|\b(?:spot|patch|smudge|blob|hole) in the (?:middle|cent(?:re|er)) of (?:my|his|her) "
        r"(?:\w+ )?(?:vision|sight|view)"
        r"|(?:中间|中央|中心|正中).{0,6}(?:黑斑|黑点|黑影|暗点|一块黑|看不)"
    ),
    "curtain": (
        r"\b(?:curtain|veil)\b(?! (?:rod|rail))"
        r"|\b(?:shadow|shade|blind)s?\b.{0,40}\b(?:vision|sight|eyes?|view|field|side|across|over"
        r"|corner|periphery|edge)\b"
        r"|\b(?:vision|sight|eyes?|view|field)\b.{0,25}\b(?:shadow|shade)\b"
        r"|\b(?:field|visual field|peripheral) (?:defect|loss|cut)\b"
        r"|\b(?:black|dark|grey|gray)(?:ness)?\b.{0,20}\b(?:creeping|spreading|coming (?:down|up"
        r"|across|in)|closing in|moving across).{0,40}"
        r"|(?:帘|幕|黑布|黑纱|阴影|黑影|乌云|东西).{0,8}(?:遮|挡|盖住|罩)|黑影|遮挡感|窗帘"
        r"|视野.{0,4}缺"
        r"|(?:遮|挡)(?:住)?了?.{0,4}(?:一半|半边|视野|视线)|幕布|像有?.{0,3}帘"
    ),
    "flashes": (
        r"\bflashes\b|\bflashing (?:lights?|in|at)\b|\blights? (?:is |are )?flashing\b"
        r"|\bflash(?:es)? of light|\bphotopsia|\b(?:lightn?ing|lightening) (?:streaks?|bolts?"
        r"|flash\w*)|\b(?:streaks?|sparks?|arcs?|flickers?|bursts?) of light"
        r"|\b(?:see|sees|seeing|saw|notice[ds]?|noticing)\b.{0,15}\b(?:sparks?|lightn?ing"
        r"|flash(?:es)?|flickers?|flickering|strobes?|zig ?zags?)\b(?! drive)|\bsparkles? in my"
        r"|\bstrobe lights?\b"
        r"|闪光(?!灯|拍|照相)|一闪一闪|闪电|(?:亮光|光|白光|火花|金星).{0,3}闪|闪.{0,3}(?:亮光|白光"
        r"|火花)|火花"
        r"|打闪|冒金星"
    ),
    "new_floaters": (
        r"\b(?:new|sudden|suddenly|many|more|shower|loads?|lots?|dozens?|hundreds|tons|swarm"
        r"|load|bunch|increas\w*|multiple|extra|massive|big|huge|worse)\b.{0,25}\bfloat(?:er|y)\w*"
        r"|\bfloaters?\b.{0,40}\b(?:sudden\w*|new|worse|more|increas\w*|appeared|started|today"
        r"|yesterday|this morning|last night|onset|multipl\w*|doubled|everywhere)\b"
        r"|\bfloaters?\b.{0,15}(?:\bx ?\d|\d{1,2}/7|\d+ ?(?:d|days?|hrs?|hours?)\b)"
        r"|\bfloaters? (?:since|for) (?:this|last|yest|\w+day\b|the weekend|(?:a few|\d+|two"
        r"|three) "
        r"(?:days|hours))"
        r"|\b(?:black|dark|new|of|many|little|tiny|floating)\b.{0,10}\b(?:dots?|specks?|spots?"
        r"|cobwebs?|squiggles|strings|flies|gnats|blobs?)\b.{0,30}\b(?:eyes?|vision|sight|view"
        r"|appeared|floating|everywhere|suddenly|drifting)\b"
        r"|\b(?:swarms?|showers?|dozens|hundreds|loads|lots) of (?:\w+ )?(?:spots|dots|specks"
        r"|flies|gnats|bits)|\bcobwebs?\b.{0,20}\b(?:eye|vision|sight|view)"
        r"|\b(?:soot|pepper|ink)\b.{0,30}\b(?:eyes?|vision|sight|view)\b"
        r"|\b(?:eyes?|vision|sight|view)\b.{0,25}\b(?:soot|ink|cobwebs?|gnats|tadpoles)\b"
        r"|\bvit(?:reous|\.)? ?ha?em\w*|\btobacco dust|\bshafer"
        r"|飞蚊.{0,10}(?:增多|增加|突然|很多|加重|变多|多了|密|好多)|(?:突然|好多|很多"
        r"|一大[团堆片群]|密密麻麻"
        r"|冒出|无数|新出现|多了).{0,8}(?:飞蚊|黑点|黑丝|蚊子|小虫|黑絮|蜘蛛网|飘)|墨水|墨汁|飘黑"
        r"|(?:黑点|黑丝|黑影|蚊子|小虫).{0,6}(?:飘|飞|变多|增多|很多)"
    ),
    "pain": rf"\b{_HURTS}\b|(?<!无)(?<!心)(?:痛(?!性视)|疼|酸胀|胀得)",
    "eye_pain": (
        rf"\b(?:eyes?|eyeballs?|eye ball|ocular|left eye|right eye)\b.{{0,30}}\b{_HURTS}\b"
        rf"|\b{_HURTS}\b.{{0,35}}\b(?:eyes?|eyeballs?)\b"
        r"|(?:眼|目).{0,10}(?:痛|疼|胀)|(?:痛|疼).{0,6}眼"
    ),
    "severe_pain": (
        rf"\b(?:severe|intense|unbearable|terrible|excruciating|awful|horrible|agoni[sz]ing|extreme"
        rf"|worst|sharp|stabbing|crazy|insane|so much|bad|deep|really bad|massive|throbbing)\b"
        rf".{{0,25}}\b{_HURTS}\b"
        rf"|\b{_HURTS}\b.{{0,20}}\b(?:a lot|badly|so much|so bad\w*|terribly|like (?:hell|mad|crazy"
        r"|anything)|unbearabl[ey]|severe(?:ly)?|intense(?:ly)?|really bad|awful|can't (?:sleep"
        r"|stand|bear|open)|excruciating|10/10|9/10|8/10|loads|extremely|insane|something awful)\b"
        r"|\b(?:is|are) (?:absolutely )?killing (?:me|him|her)\b|\bagony\b|\bexcruciating\b"
        r"|\b(?:explode|bursting|burst) ?\b.{0,10}|\bknife in my eye"
        r"|剧痛|剧烈|(?:痛|疼)(?:得|的)?(?:要命|要死|受不了|厉害|不行|睡不着|难忍|打滚|不得了|很)"
        r"|(?:很|特别|非常|好|太|超级|钻心|越来越)(?:痛|疼)|胀痛"
    ),
    "red": (
        r"\b(?:red|redness|reddened|bloodshot|blood-shot|hyper(?:a?e)mi[ac]|ciliary flush)\b"
        r"(?! (?:dots?|spots?|rim|reflex|lesions?|lights?|areas?|patch\w*|lines?|colou?r|in (?:the "
        r"|this )?(?:photo|pic|im)|on (?:the |this )?(?:photo|pic|im)))"
        r"|(?:发|又|变|通|充)红|眼.{0,4}红(?!点|绿|斑|色)|红(?=痛|肿|疼)|充血|红血丝"
    ),
    "photophobia": (
        r"\bphotophob\w*|\blight (?:really )?(?:hurts|sensitiv\w*|is unbearable)"
        r"|\bsensitive to light"
        r"|\bcan't (?:stand|bear) (?:the )?light|怕光|畏光"
    ),
    "sick": (
        r"\bnause\w*|\bvomit\w*|\bthrow\w* up\b|\bthrew up\b|\bfeel(?:ing)? sick\b|\bbeing sick\b"
        r"|\bpuk\w+|恶心|呕吐|想吐|吐了"
    ),
    "halos": r"\bhalo(?:e?s)?\b|\brainbows?\b.{0,20}|虹视|彩虹圈|虹圈|光圈|光晕|彩圈",
    "contact_lens": (
        r"\bcontact lens\w*|\bcontacts\b|\bmy lenses\b|\blens wearer\b|隐形眼镜|美瞳|角膜塑形"
        r"|ok镜|\bortho-?k\b"
    ),
    "after_surgery": (
        r"\b(?:post-?op\w*|post operative\w*|post-?(?:phaco|ivi|surgery|injection|vitrectomy))\b"
        r"|\b(?:after|since|following|from|had|having|did)\b.{0,30}\b(?:surgery|operation|phaco\w*"
        r"|vitrectomy|trabeculectomy|injection|ivi|laser|lasik|transplant)\b"
        r"|\b(?:surgery|operation|phaco|injection|ivi|vitrectomy)\b.{0,20}\b(?:ago|yesterday|last "
        r"week|on \w+day|days?|this week)\b|\b(?:operated|injected) on\b"
        r"|术后|手术后|打完.{0,3}针|眼内注射|做完.{0,8}手术|手术.{0,6}(?:天|昨|周)"
    ),
    "corneal_spot": (
        r"\bwhite (?:spot|dot|patch) on (?:my|the|his|her) (?:\w+ )?(?:cornea|eye)|\bulcer\b"
        r"|角膜溃疡|黑眼珠上.{0,4}白点"
    ),
    "mild": (
        r"\b(?:mild(?:ly)?|slight(?:ly)?|a (?:little|bit|touch)|occasional(?:ly)?|sometimes|now "
        r"and then|itch\w*|tired|dry(?:ness)?|gritty)\b|有点|轻微|偶尔|稍微|略|干涩|疲劳"
    ),
    "injury": (
        rf"\b(?:{_FORCE})\b.{{0,45}}\b(?:eyes?|eyeballs?|eye ball|eyelid)\b(?! (?:test|exam|check))"
        rf"|\b(?:eyes?|eyeballs?)\b.{{0,15}}\b(?:got|was|were|been|is) {_FORCE}\b(?! by diabetes)"
        r"|\b(?:ball|elbow|fist|punch|kick|branch|stick|cork|racket|racquet|puck|shuttlecock|bungee"
        r"|stone|rock|knee|finger|nail|toy|airbag|firework|blow|paintball|pellet|twig|wire|thorn)"
        r"s?\b.{0,25}\b(?:to|in|into|hit|at|through|got|caught|across|poked) ?(?:my |his |her |the "
        r"|your |our |their |left |right |\w+'s ){0,3}(?:eyes?|eyeball|face)\b"
        r"|\beye (?:injury|trauma|laceration)\b|\binjur(?:y|ies|ed)\b.{0,25}\b(?:eyes?|globe|orbit"
        r"|cornea)\b|\b(?:blunt|ocular|globe|orbital) (?:trauma|injury)\b|\btrauma to\b.{0,20}\beye"
        r"|\bhyph(?:a?e)ma\b|\bblow-?out fracture|\b(?:black|swollen) eye (?:from|after)\b"
        r"|\b(?:airbag|fireworks?|explosion|exploded|blast)\b.{0,40}\b(?:eyes?|face)\b"
        r"|\bcorneal abrasion|\btrauma\b.{0,10}\beye"
        r"|(?:眼|角膜).{0,10}(?:外伤|受伤|打伤|撞|砸|戳|划伤|刮伤|抓伤|碰伤|炸|磕|打了(?!气|针|药|激光|硅油|麻)|踢|打到"
        r"|刺(?:到|伤|破|进|入|穿))"
        r"|(?:打|撞|砸|戳|划|抓|炸|崩|弹|踢|磕|碰|捅|打中|击)(?:到|中|伤|了|着|进|破)*(?:我|他"
        r"|她|孩子|宝宝"
        r"|的|左|右|一|只){0,4}眼|(?:一拳|拳头|球).{0,10}眼|眼外伤|眼球挫伤|前房积血"
        r"|外伤(?=.{0,6}眼)"
    ),
    "foreign_body": (
        r"\b(?:metal|glass|foreign body|something|splinters?|wood|sawdust|sand|grit|shards?|swarf"
        r"|rust|filings?|chips?|bits?|pieces?|slivers?|fragments?|sparks?|nail|stone|wire"
        r"|needle|dust"
        r"|insect|thorn|plastic|debris|it|eyelash|pencil|stick|hook|dart)s?\b.{0,35}\b(?:in|into"
        r"|inside|through|stuck in|flew in|on)\b ?(?:to )?(?:(?:my|his|her|the|an|our|your"
        r"|their|one"
        r"|both|left|right|\w+'s|baby) ){1,4}(?:eyes?|eyeballs?|eyelid|cornea)\b(?! (?:drop"
        r"|clinic|h"
        r"|cream))"
        r"|\b(?:stuck|lodged|embedded)\b.{0,10}\bin\b.{0,20}\beyes?\b|\b(?:corneal|ocular|"
        r"intraocular|metallic) foreign body|\bi?ofb\b"
        r"|(?:异物|铁屑|铁渣|玻璃|碎片|木屑|沙子|钢丝|铁丝|焊渣|东西|渣|刺|屑|钩"
        r"|虫子).{0,12}(?:进|崩|溅|飞|扎|掉|弄"
        r"|入|勾|迷).{0,8}眼|眼.{0,6}(?:进了?个?|有个?)(?:东西|异物|铁|玻璃|沙)"
    ),
    "penetrating": (
        r"\bpenetrat\w+ (?:\w+ )?(?:injur\w*|trauma|wound|object)|\b(?:globe|eye) (?:rupture"
        r"|perforation|penetration)|\bperforat\w+ (?:\w+ )?(?:injur\w*|eye|globe)|\bopen[- ]globe\b"
        r"|\bruptured (?:globe|eye)|\bpei\b|\bi?iofb\b|\bnail ?gun\b"
        r"|\b(?:shot|flew|went|going|goes|straight|right|stuck|jammed|lodged|stabbed|poked|fell|"
        r"embedded|pierced|gone)\b.{0,30}\b(?:in|into|through|inside)\b.{0,20}\b(?:eyes?|eyeball)\b"
        r"|\b(?:knife|scissors|pencil|dart|nail|needle|screwdriver|fish ?hook|wire|arrow|pellet"
        r"|glass|shard|thorn|screw|skewer|fork|metal)s?\b.{0,40}\b(?:eyes?|eyeball)\b"
        r"|\b(?:hammer\w*|grind\w*|chisel\w*|drilling|strimm\w*|angle grinder)\b"
        r"|扎进|扎到|刺进|刺入|刺穿|扎伤|穿通|穿孔伤|戳[到进破伤]|捅|崩[到进]|玻璃|钩|铁屑|铁钉"
        r"|钉枪|剪刀|眼球破"
    ),
    "tools": r"\b(?:hammer\w*|grind(?:ing|er)|chisel\w*|drilling|strimm\w*|welding)\b",
    "eye_trouble": (
        r"\beyes?\b.{0,30}\b(?:watering|sore|hurts?|pain\w*|bleeding|red|stuck|swollen"
        r"|blood|shut|open|gritty)\b|\b(?:in|into|hit) (?:my|his|her|the) (?:\w+ )?eye\b"
    ),
    "struck": (
        r"\b(?:punched|hit|struck|kicked|elbowed|fell|fallen|fall|assaulted|beaten|fight|mugged)\b"
        r"|打了?一?拳|被打|被人打|摔|撞|拳|打架|车祸"
    ),
    "eye_swollen": (
        r"\beyes?\b.{0,25}\b(?:swollen|shut|bleeding|black|bruised|puffed|closed)\b|\bblood in"
        r" (?:the|my|his|her) (?:\w+ )?eye|眼.{0,4}(?:肿|睁不开|出血|流血|青)"
    ),
    "face_blast": r"\b(?:firework|exploded|explosion|airbag|blast)s?\b",
    "chemical": (
        rf"\b{_CHEMICALS}\b.{{0,45}}\b(?:in|into|on|onto|over|to|at|inside|all over)\b.{{0,25}}\b"
        r"(?:eyes?|eyeball|face and)\b(?! (?:drops?|health|clinic|doctor))"
        rf"|\b(?:splash\w*|spray\w*|squirt\w*|got|spill\w*|spatter\w*)\b.{{0,40}}\b{_CHEMICALS}\b"
        r".{0,40}\b(?:eyes?|eyeball)\b"
        r"|\bglued\b.{0,15}\beye|\beyes?\b.{0,15}\bglued\b"
        r"|\b(?:alkalis?|acid|chemical|lime|caustic|cement|thermal)(?: \w+)? (?:burns?|splash\w*"
        r"|injur\w*|exposure)\b|\bchem(?:\.|ical)? ?(?:splash|burn|inj)\w*"
        r"|\b(?:splash|squirt|spurt)\w*\b.{0,15}\b(?:in|into|to|on)\b.{0,20}\beyes?\b"
        rf"|\beyes?\b.{{0,30}}\b(?:splash\w*|burn\w*|sting\w*)\b.{{0,20}}\b{_CHEMICALS}\b"
        rf"|\b{_CHEMICALS}\b.{{0,10}}\beyes?\b.{{0,10}}\b(?:burn|sting|now|help)"
        rf"|{_ZH_CHEMICALS}.{{0,14}}(?:溅|进|弄|喷|滴|入|崩|飞|流|甩|烧|沾|喷到|揉|碰|掉).{{0,8}}眼"
        rf"|{_ZH_CHEMICALS}.{{0,4}}(?:溅|进|弄|喷|滴|烧)(?:到|进|入|伤|了)"
        rf"|眼.{{0,10}}(?:溅|进|弄|喷|滴|入|被|烧|沾).{{0,4}}{_ZH_CHEMICALS}|溅.{{0,3}}眼"
        r"|眼.{0,4}(?:化学伤|化学烧伤|碱烧伤|酸烧伤)|(?:化学|酸|碱)(?:性)?(?:烧伤|灼伤)"
    ),
    "chemical_word": rf"\b{_CHEMICALS}\b|{_ZH_CHEMICALS}",
    "eyes_burning": (
        r"\beyes?\b.{0,20}\b(?:burn|sting)\w*|\bburn\w*.{0,15}\beyes?"
        r"|眼.{0,6}(?:火辣|灼|烧)"
    ),
    "sprayed": (
        r"\b(?:pepper ?|mace|tear ?gas)[- ]?(?:spray)?(?:ed)\b|\bmaced\b|\b(?:splash|spill"
        r"|squirt|spray|spatter|got|went|exploded)\w*\b|溅|喷|泼|洒"
    ),
    "double": (
        r"\bdouble vision|\b(?:see|sees|seeing|saw) (?:everything )?double\b|\bdiplopi\w*"
        r"|\bseeing two"
        r"\b|\b(?:sees?|seeing) (?:two|2) (?:of|images|people|cars|moons)|\btwo of every"
        r"|\bvision (?:is|went|has gone) double"
        r"|双影|重影|复视|看东西.{0,3}(?:双|两个)|两个人影|一个变两个|成双|看成两"
    ),
    "distorted": (
        r"\b(?:lines?|letters|words?|doors?|door ?frames?|frames?|things|tiles|faces|text|print"
        r"|edges|windows?|grid|amsler\w*|everything|poles?|page|people|blinds|vision"
        r"|sight)\b.{0,40}"
        r"\b(?:wavy|bent|crooked|distorted|distortion|warped|wonky|wiggly|twisted|bendy|kinked"
        r"|bulging|squiggly|buckled|slanted|curv(?:ed|y))\b"
        r"|\bwavy (?:lines|vision)|\bdistorted (?:vision|sight|image|lines|central)"
        r"|\b(?:new|sudden|suddenly|recent|started)\b.{0,25}\b(?:distort\w*|wavy|warp\w*)"
        r"|\bmetamorphopsia|\bdistortion (?:in|of) (?:my|his|her|the|right|left|both|central)"
        r"|视物变形|直线.{0,4}(?:弯|歪|扭|变形|波浪)|变弯|(?:门框|窗框|线|字|瓷砖|格子|电线杆"
        r"|东西|人脸).{0,6}"
        r"(?:是?弯|歪|扭曲|变形|扭)"
    ),
    "white_pupil": (
        r"\b(?:pupils?|eyes?|reflex)\b.{0,35}\b(?:white|glow\w*|silvery)\b"
        r"|\bwhite\b.{0,15}\b(?:pupils?|reflex|glow|reflection)\b"
        r"|\bglow\w*\b.{0,10}\bwhite\b.{0,20}"
        r"|\bleu[ck]ocoria|\bcat'?s[- ]eye reflex|\bwhite in the (?:pupil|eye)|\babsent red reflex"
        r"|瞳孔.{0,6}(?:白|发亮|黄)|白瞳|猫眼|反白光|(?:黑眼珠|眼珠|眼睛|[只个]眼).{0,6}(?:白点|发白"
        r"|白光)|瞳仁.{0,4}白"
    ),
    "photo_of_child": r"\bin (?:\w+ ){0,2}(?:photos?|pictures?|pics)|\bflash (?:photo|pic)"
    r"|闪光灯?拍|拍照",
    "headache": (
        r"\bhead ?aches?\b|\bhead is (?:pounding|splitting|killing)|\bmigraine\b|\bpain in (?:my|"
        r"his|her) head|头痛|头疼|头.{0,2}(?:痛|疼)"
    ),
    "temporal_headache": (
        r"\b(?:temporal|temple|new|severe|worst|unusual|side)\b.{0,15}\b(?:head ?aches?|pain|ache)"
        r"|\b(?:temples?)\b.{0,25}\b(?:hurt\w*|sore|tender\w*|ache|aching|throb\w*|pain\w*)"
        r"|\b(?:pain\w*|sore|tender\w*|ache)\b.{0,15}\btemples?\b"
        r"|太阳穴.{0,6}(?:痛|疼)|颞.{0,4}(?:痛|疼)|新发头痛|头.{0,3}一侧.{0,3}(?:痛|疼)"
    ),
    "jaw": (
        r"\bjaw\b.{0,20}\b(?:pain\w*|aches?|aching|claudication|hurts?|sore|tired|cramps?|stiff)"
        r"|\b(?:pain\w*|aches?|sore|hurts?)\b.{0,25}\b(?:jaw|chew\w*)\b"
        r"|\bchew\w*\b.{0,20}\b(?:pain\w*"
        r"|hurts?|aches?|sore)|\bclaudication of (?:the )?jaw"
        r"|(?:下巴|下颌|腮|咀嚼|嚼).{0,10}(?:痛|疼|酸|累)"
    ),
    "scalp": (
        r"\bscalp\b.{0,25}\b(?:pain\w*|tender\w*|sore|hurts?|ache\w*)|\b(?:pain\w*|tender|sore)\b"
        r".{0,10}\bscalp|\bhurts? to (?:comb|brush)|头皮.{0,6}(?:痛|疼|触痛|压痛)"
        r"|梳头.{0,4}(?:痛|疼)"
    ),
    "pupil": (
        r"\bpupils?\b.{0,40}\b(?:bigger|larger|dilated|huge|unequal|uneven|blown|different size"
        r"|enlarged|involved|smaller|not the same)|\banisocoria|\b(?:dilated|unequal|blown|bigger"
        r"|larger|big|small|uneven)\b.{0,10}\bpupils?|瞳孔.{0,8}(?:变大|散大|不等|不一样|放大"
        r"|一大一小|变小)"
    ),
    "lid": (
        r"\b(?:eye ?)?lids?\b.{0,25}\b(?:droop\w*|hang\w*|fell|fallen|sagg?\w*|won't open"
        r"|closed|shut"
        r"|down)\b|\bdroop\w*\b.{0,20}\b(?:eye ?lids?|lids?|eyes?)\b|\beyes?\b.{0,15}\bdroop\w*"
        r"|\bptosis|(?:眼皮|眼睑|上睑).{0,8}(?:耷拉|下垂|掉|抬不|睁不)"
    ),
    "third_nerve": (
        r"\b(?:third|3rd|iii|cn ?3|cn ?iii|oculomotor)(?: cranial)?(?: nerve)?(?: nerve)? "
        r"(?:palsy|paresis)|动眼神经麻痹"
    ),
    # Diagnoses that clinicians write for the complaint.
    "loss_diagnosis": (
        r"\bcrao\b|\bbrao\b|\b(?:central |branch )?retinal artery (?:occlusion|block\w*)"
        r"|\baion\b|\bnaion\b|\baaion\b|\bocular stroke|\beye stroke|动脉阻塞|缺血性视神经"
    ),
    "detachment": (
        r"\bretinal detachment|\bdetached retina|\bretina (?:is |has )?(?:detached|come off)"
        r"|\bmac(?:ula)?[- ]?(?:on|off)\b|\bretinal tear|视网膜脱离|视网膜裂孔|网脱"
    ),
    "red_eye_diagnosis": (
        r"\baacg\b|\bacute (?:angle[- ]closure|pacg|glaucoma)|\bangle[- ]closure "
        r"(?:attack|crisis)|\bendophthalmitis|\bhypopyon|\bmicrobial keratitis|\bcorneal ulcer"
        r"|\borbital cellulitis|\bscleritis|\bacute (?:iritis|uveitis)|\biop (?:of |is "
        r"|= ?)?(?:[4-8]\d)\b"
        r"|闭角型青光眼.{0,4}(?:急性)?发作|急性闭角|眼内炎|前房积脓|眼压[\s:：]?(?:[4-8]\d)"
    ),
    "gca_diagnosis": (
        r"\bgca\b|\bgiant[- ]cell arteritis|\btemporal arteritis|巨细胞动脉炎"
        r"|颞动脉炎"
    ),
}
# Not symptoms; they keep a rule from applying, or set its scene.
_PATTERNS |= {
    "fine": r"\b(?:fine|normal again|ok(?:ay)?|no problems?)\b|没事|正常",
    # What makes nobody hurry, however lively it is told: a lid that twitches, glasses that grow.
    "harmless": (
        r"\b(?:eye)?lids?\b.{0,20}\btwitch\w*|\btwitch\w*.{0,20}\b(?:eye)?lids?\b|\beye twitch\w*"
        r"|\bstronger (?:glasses|lenses|prescription)\b"
        r"|\b(?:prescription|short sight|myopia)\b.{0,12}\b(?:up|grown|grew|increased|stronger)\b"
        r"|眼皮.{0,8}跳|(?:近视|度数).{0,4}(?:涨|加深|增加|又深)"
    ),
    "floaters": r"\bfloaters?\b|飞蚊|(?:透明|小)虫",
    "itch": r"\bitch\w*|痒",
    "leukocoria": r"\bleu[ck]ocoria|白瞳",
    "visual_symptom": (
        rf"\b(?:blur\w*|double|diplopia|can't see|obscurations?|amaurosis)\b"
        rf"|\b{_SIGHT}\b.{{0,30}}\b(?:{_WORSE}|loss|lost|gone|black|funny|flicker\w*|going)\b"
        rf"|\b(?:loss|lost|losing|loses|reduced|drop)\b.{{0,20}}\b{_SIGHT}|\bvisual (?:loss"
        r"|disturbance|symptom|obscuration)s?|看不|模糊|视力.{0,4}(?:下降|差)|重影|双影|复视"
        r"|失明|发黑|黑[矇蒙朦]"
    ),
    "picture": (
        r"\b(?:photos?|photograph\w*|images?|pictures?|pics?|screen|files?|program|scan|camera"
        r"|monitor"
        r"|window on|app|terminal|cursor|disc|disk|document|pdf|website|web ?page|browser"
        r"|printouts?|printer)\b|\b(?:the|this|that|your) report\b"
        r"|照片|图片|图像|图[上里中]|打印|屏幕|镜头|相机|程序|网页|浏览器|黑屏|报告"
    ),
    # What goes dark or is lost here is a thing and no eye.
    "device": (
        r"\b(?:the|this|your|that) (?:report|web ?page|page|website|browser|app|program|terminal"
        r"|file|printout)\b|网页|黑屏|浏览器|界面|报告|程序"
    ),
    "elsewhere": (
        r"\b(?:knees?|toes?|throat|ankles?|foot|feet|hands?|fingers?|elbow|back|stomach"
        r"|chest|legs?|arms?|skin|shoulders?|tooth|teeth|ears?)\b|膝|脚|喉|手指|背部|肚子|胸|腿"
        r"|牙|耳"
    ),
    "body_pierced": (
        r"\b(?:fingers?|hands?|foot|feet|arms?|legs?|toes?|blood vessel|vessels?)\b"
        r"|手|脚"
    ),
}
#: Concept -> the pattern that finds it in a clause.
CONCEPTS = {name: re.compile(pattern) for name, pattern in _PATTERNS.items()}
